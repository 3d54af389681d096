"""The digest of a file and of a directory. Its definition for other programs: ``docs/data-digest.md``."""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Callable, Iterable
from typing import NamedTuple

from blake3 import blake3

from repro_hydra.data.aside import MAPPED_FROM_BYTES, digest_mapped
from repro_hydra.data.walk import Row, reason_of
from repro_hydra.record.data import EntryKind

TREE_CONTEXT = "repro-hydra data tree v1"
"""BLAKE3's derive-key context: no file can have the digest of a directory."""

SMALL_FILE_BYTES = 1 << 20
_CHUNK_BYTES = 4 << 20
# O_NONBLOCK: where a FIFO took the file's place since it was listed, the open returns instead of waiting.
OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)

KINDS: dict[int, EntryKind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "symlink",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFBLK: "block",
    stat.S_IFCHR: "character",
}
_LETTERS: dict[EntryKind, bytes] = {
    "file": b"f",
    "directory": b"d",
    "symlink": b"l",
    "fifo": b"p",
    "socket": b"s",
    "block": b"b",
    "character": b"c",
}
_pack_head = struct.Struct(">cQ").pack
_pack_length = struct.Struct(">Q").pack


class Entry(NamedTuple):
    """One thing inside a dataset."""

    path: bytes
    kind: EntryKind
    size_bytes: int
    """Of a file; 0 for everything else."""
    content: bytes
    """A file's BLAKE3 digest, a link's target, nothing for everything else."""
    executable: bool = False


class FileProblem(Exception):
    """A file that could not be read as it was listed; the text is the reason."""


def digest_file(path: bytes, row: Row, on_bytes: Callable[[int], None] | None = None) -> bytes:
    """BLAKE3 of a regular file's content, which must be the file that `row` describes, before and after.

    It is never mapped into this process: another program that truncates a mapped file kills who reads it. A
    process of its own maps a large one (`repro_hydra.data.aside`); where that is lost the file is read here.

    Parameters
    ----------
    on_bytes : callable, optional
        Told of each chunk of a large file as it is read.

    Raises
    ------
    FileProblem
        It cannot be read, it is no regular file any more, or it changed meanwhile.
    """
    size = row[2]
    try:
        handle = os.open(path, OPEN_FLAGS)
    except OSError as error:
        raise FileProblem(reason_of(error)) from None
    try:
        _check_unchanged(handle, row)
        if size <= SMALL_FILE_BYTES:
            # One read and one hash: a pool of threads made small files slower. One byte more than expected,
            # so that growth shows.
            data = os.read(handle, size + 1)
            if len(data) == size:
                _check_unchanged(handle, row)
                digest: bytes = blake3(data).digest()
                return digest
            os.lseek(handle, 0, os.SEEK_SET)  # a short read, or another size
        return _digest_large(handle, row, on_bytes)
    except OSError as error:
        raise FileProblem(reason_of(error)) from None
    finally:
        os.close(handle)


def _digest_large(handle: int, row: Row, on_bytes: Callable[[int], None] | None) -> bytes:
    size, told = row[2], 0

    def tell(done: int) -> None:
        """Each byte is told of once, also where a file is begun again."""
        nonlocal told
        if on_bytes is not None and done > told:
            on_bytes(done - told)
            told = done

    digest = digest_mapped(handle, size, tell) if size >= MAPPED_FROM_BYTES else None
    if digest is None:
        digest, done = _digest_read(handle, size, tell)
    else:
        done = size
    _check_unchanged(handle, row)
    if done != size:
        raise FileProblem(f"it changed while it was read ({size} bytes were listed, {done} were there)")
    return digest


def _digest_read(handle: int, size: int, tell: Callable[[int], None]) -> tuple[bytes, int]:
    """The digest, and of how many bytes."""
    hasher = blake3(max_threads=blake3.AUTO)
    buffer = memoryview(bytearray(min(_CHUNK_BYTES, size + 1)))
    done = 0
    stream = io.FileIO(handle, closefd=False)
    while count := stream.readinto(buffer):
        hasher.update(buffer[:count])
        done += count
        if done > size:
            break  # a file that grows as fast as it is read would never end
        tell(done)
    return hasher.digest(), done


def _check_unchanged(handle: int, row: Row) -> None:
    status = os.fstat(handle)
    if (status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino) != row[1:]:
        raise FileProblem(what_changed(row, status))


def what_changed(row: Row, status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file any more"
    if status.st_ino != row[5]:
        return "it was replaced by another file while the dataset was read"
    if status.st_size != row[2]:
        return f"it changed while it was read (from {row[2]} to {status.st_size} bytes)"
    return "it changed while it was read"


def digest_tree(entries: Iterable[Entry]) -> bytes:
    """The digest of a directory from what lies below it, in any order.

    Examples
    --------
    >>> one = Entry(b"a", "file", 0, bytes(32))
    >>> other = Entry(b"b", "directory", 0, b"")
    >>> digest_tree([one, other]) == digest_tree([other, one])
    True
    """
    return digest_encoded(encode_entry(*entry) for entry in sorted(entries))


def digest_encoded(encoded: Iterable[bytes]) -> bytes:
    """The digest of entries that are already encoded, and sorted by path."""
    hasher = blake3(b"".join(encoded), derive_key_context=TREE_CONTEXT, max_threads=blake3.AUTO)
    digest: bytes = hasher.digest()
    return digest


def encode_entry(path: bytes, kind: EntryKind, size_bytes: int, content: bytes, executable: bool) -> bytes:
    """One entry such that no two different lists of entries make the same bytes.

    The kind's letter says which fields follow; each field has a fixed width or its length before it.
    """
    if kind == "file":
        return encode_file(path, size_bytes, content, executable)
    head = _pack_head(_LETTERS[kind], len(path)) + path
    return head + _pack_length(len(content)) + content if kind == "symlink" else head


def encode_file(path: bytes, size_bytes: int, content: bytes, executable: int) -> bytes:
    """A file's entry; `executable` is any number that is not 0 for an executable one."""
    return _pack_head(b"x" if executable else b"f", len(path)) + path + _pack_length(size_bytes) + content
