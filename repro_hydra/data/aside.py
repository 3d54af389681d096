"""Hashing a large file mapped into memory, by a process of its own.

Copying a file out of the page cache takes as long as its BLAKE3 on two cores: one of 2 GiB is hashed twice as fast
where it is mapped. But a page of a mapping that another program truncates, that a disk cannot give or a network
file system has lost, ends by SIGBUS whoever reads it. So the mapping lies in a process that may be lost: then
there is no digest from here, and whoever asked reads the file.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import blake3

MAPPED_FROM_BYTES = 128 << 20
"""Below, starting a process costs more than the copying."""
WINDOW_BYTES = 128 << 20
"""Mapped at a time: what is mapped counts as the job's memory where a scheduler watches that."""
_PROGRAM = Path(__file__).with_name("mapping.py")
_DIGEST_LENGTH = 64


def digest_mapped(
    handle: int, size: int, tell: Callable[[int], None], *, window: int = WINDOW_BYTES
) -> bytes | None:
    """BLAKE3 of the first `size` bytes of an open file; None where the process could not tell it.

    Parameters
    ----------
    tell : callable
        Told how many bytes have been hashed so far, also where no digest comes of it.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        return None  # an interpreter inside another program, which would be started again
    try:
        process = subprocess.Popen(
            command(size, window), stdin=handle, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
    except OSError:
        return None
    digest = None
    with process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                word = line.strip().decode()
                if len(word) == _DIGEST_LENGTH:
                    digest = bytes.fromhex(word)
                elif word.isdigit():
                    tell(int(word))
        except BaseException:
            process.kill()
            raise
    return digest if process.returncode == 0 else None


def command(size: int, window: int) -> list[str]:
    """What hashes the file on its standard input; see `repro_hydra.data.mapping`."""
    installed = Path(blake3.__file__).parent.parent
    # -I and -S: nothing of the user's or of the site is imported there.
    return [sys.executable, "-I", "-S", str(_PROGRAM), str(installed), str(size), str(window)]
