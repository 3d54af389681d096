"""The program that maps one file and hashes it: started by `repro_hydra.data.aside`, imported by nobody.

Its standard input is the file. Arguments: where `blake3` is installed, the file's size, and how much to map at a
time. It prints how many bytes have been hashed, a line a window, and in the end the digest.
"""

from __future__ import annotations

import mmap
import resource
import sys


def main() -> None:
    installed, size, window = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # its end by SIGBUS is foreseen, and leaves no core file
    sys.path.append(installed)
    from blake3 import blake3

    hasher = blake3(max_threads=blake3.AUTO)
    for begin in range(0, size, window):
        count = min(window, size - begin)
        with mmap.mmap(sys.stdin.fileno(), count, access=mmap.ACCESS_READ, offset=begin) as mapped:
            hasher.update(mapped)
        print(begin + count, flush=True)
    print(hasher.hexdigest())


if __name__ == "__main__":
    main()
