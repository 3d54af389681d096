"""Checkpoints as torch saves them, compared without being loaded: what differs beside the run's directory.

A checkpoint of Lightning's names the directory that it lies in, and one that holds more than tensors and plain values
(a config, a `functools.partial` among the hyperparameters) cannot be loaded safely. Its pickle can be read all the
same, operation by operation, which runs nothing.
"""

from __future__ import annotations

import pickletools
import zipfile
from pathlib import Path
from typing import Any

from blake3 import blake3

SUFFIXES = (".pt", ".pth", ".ckpt")
_PICKLE = "data.pkl"
_MOST_PICKLE_BYTES = 64 << 20
_MADE_FROM_THE_REST = ".data/serialization_id"
_CHUNK = 1 << 20


def same_but_for_directory(before: tuple[Path, str], after: tuple[Path, str]) -> int | None:
    """How many storages of tensors two checkpoints have, that differ in the name of their run's directory alone.

    Parameters
    ----------
    before, after : (Path, str)
        The file, and the directory of its run.

    Returns
    -------
    int or None
        None where they differ in more, or are no archives of torch's.
    """
    try:
        one, other = _content(*before), _content(*after)
    except (zipfile.BadZipFile, OSError, ValueError, IndexError, KeyError, NotImplementedError, EOFError):
        return None  # also what `pickletools` says of bytes that are no pickle
    if _PICKLE not in one or one != other:
        return None
    return sum(name.startswith("data/") for name in one)


def _content(path: Path, run_dir: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            name = item.filename.partition("/")[2]  # the first part is the file's own name
            if name == _MADE_FROM_THE_REST:
                continue
            if name == _PICKLE and item.file_size <= _MOST_PICKLE_BYTES:
                found[name] = _operations(archive.read(item), run_dir)
                continue
            digest = blake3()
            with archive.open(item) as stream:
                while chunk := stream.read(_CHUNK):
                    digest.update(chunk)
            found[name] = digest.digest()
    return found


def _operations(pickled: bytes, run_dir: str) -> list[tuple[str, Any]]:
    return [
        ("text", argument.replace(run_dir, "<run>"))  # whose operation depends on its length
        if isinstance(argument, str) and "UNICODE" in operation.name
        else (operation.name, argument)
        for operation, argument, _ in pickletools.genops(pickled)
    ]
