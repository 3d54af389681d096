"""A dataset as a sweep was submitted with it, so that its jobs need not hash it again while their GPUs wait.

The submission hashes each dataset once and carries along what a job can hold it against, wherever it runs: a cluster's
node need not share the cache of the machine that submitted.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import msgspec
from blake3 import blake3

from repro_hydra.data.errors import DataError, Problem, shown
from repro_hydra.data.ignore import compile_ignore
from repro_hydra.data.scan import Options, what_is_at
from repro_hydra.data.walk import FORMAT, REGULAR, Row, reason_of, walk

SAMPLED_FILES = 64
BLOCK_BYTES = 4 << 20
"""Of a sampled file the first, the middle and the last block are read."""

Block = tuple[bytes, int, bytes]
"""Path, offset, BLAKE3 of up to `BLOCK_BYTES` from there."""


class Pin(msgspec.Struct, frozen=True):
    """What a job compares."""

    stat: bytes
    """Digest of every entry's path, mode, size, times and inode."""
    names: bytes
    """Digest of every entry's path, kind and size: what stays the same in a copy."""
    blocks: tuple[Block, ...]
    """A sample of the contents, chosen by the dataset's own digest."""


def pin(path: Path, options: Options, digest: str) -> Pin:
    """The pin of the dataset at `path`, whose digest was just taken.

    Raises
    ------
    DataError
        It can't be read any more.
    """
    rows = _rows(path, options)
    return Pin(_stat_digest(rows), _name_digest(rows), tuple(_sample(path, rows, digest)))


def unchanged_stat(path: Path, options: Options, pinned: Pin) -> bool:
    """Whether nobody has written to the dataset since, by the stat of each entry.

    A copy, or another mount with inodes of its own, is not recognised: then the contents must tell.
    """
    return _stat_digest(_rows(path, options)) == pinned.stat


def difference_in_sample(path: Path, options: Options, pinned: Pin) -> str | None:
    """What differs, by all names and sizes and a sample of the contents; None where nothing does.

    Raises
    ------
    DataError
        It can't be read.
    """
    if _name_digest(_rows(path, options)) != pinned.names:
        return "files were added, removed or have another size"
    for name, offset, digest in pinned.blocks:
        if _block(path, name, offset) != digest:
            return f"the content of {shown(name or os.fsencode(path.name))} is another one"
    return None


def _rows(path: Path, options: Options) -> list[Row]:
    root = Path(os.path.realpath(path))
    _, only = what_is_at(path, root)
    if only is not None:
        return [only]
    rows, problems = walk(os.fsencode(root), compile_ignore(options.ignore))
    if problems:
        raise DataError(f"{shown(os.fsencode(path))}: could not be looked through", problems)
    return sorted(rows)


def _stat_digest(rows: Sequence[Row]) -> bytes:
    digest: bytes = blake3(msgspec.msgpack.encode(rows)).digest()
    return digest


def _name_digest(rows: Sequence[Row]) -> bytes:
    entries = [(row[0], row[1] & FORMAT, row[2] if row[1] & FORMAT == REGULAR else 0) for row in rows]
    digest: bytes = blake3(msgspec.msgpack.encode(entries)).digest()
    return digest


def _sample(path: Path, rows: Sequence[Row], digest: str) -> list[Block]:
    files = [row for row in rows if row[1] & FORMAT == REGULAR and row[2]]
    chosen = random.Random(digest).sample(files, min(SAMPLED_FILES, len(files)))
    blocks = []
    for row in sorted(chosen):
        last = max(0, row[2] - BLOCK_BYTES)
        for offset in sorted({0, last // 2, last}):
            blocks.append((row[0], offset, _block(path, row[0], offset)))
    return blocks


def _block(path: Path, name: bytes, offset: int) -> bytes:
    root = os.fsencode(os.path.realpath(path))
    place = root + b"/" + name if name else root
    try:
        handle = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            digest: bytes = blake3(os.pread(handle, BLOCK_BYTES, offset)).digest()
        finally:
            os.close(handle)
    except OSError as error:
        raise DataError(
            f"{shown(os.fsencode(path))}: could not be read", [Problem(name, reason_of(error))]
        ) from None
    return digest
