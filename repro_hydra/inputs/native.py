"""Readers that open a file in C, C++ or Rust, where they can be asked which one: no event tells of them.

Each is looked at from its import on, as long as the run lasts. Of a class its ``__init__`` is wrapped, so that it
stays the class that it is.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from repro_hydra.patches import Patches

READERS: dict[str, tuple[str, ...]] = {
    "h5py": ("File.__init__",),
    "pyarrow": ("memory_map",),
    "pyarrow.csv": ("read_csv",),
    "pyarrow.feather": ("read_table", "read_feather"),
    "pyarrow.parquet": ("read_table", "ParquetFile.__init__"),
    "safetensors": ("safe_open",),
    "safetensors.torch": ("load_file",),
    "safetensors.numpy": ("load_file",),
    "cv2": ("imread", "imreadmulti"),
    "soundfile": ("SoundFile.__init__",),
    "torchaudio": ("load",),
    "torchvision.io": ("read_image", "read_file", "read_video"),
    "polars": ("read_csv", "read_parquet", "read_ipc", "read_ndjson", "scan_csv", "scan_parquet", "scan_ipc"),
    "lmdb": ("open",),
    "torch.jit": ("load",),
}
_PATH_NAMES = ("path", "name", "filename", "file", "source", "where", "uri", "f", "ckpt_file")


class NativeReads:
    """Tells `opened` of each file that one of `READERS` is given, and how it is to be opened (``r``, ``w``)."""

    def __init__(self, opened: Callable[[str, str], None]) -> None:
        self._opened = opened
        self._patches = Patches()
        self._installed = False

    def install(self, when_imported: Callable[[str, Callable[[], None]], None]) -> None:
        for module in READERS:
            when_imported(module, functools.partial(self._look_at, module))
        self._installed = True
        self._patches.rebind()

    def remove(self) -> None:
        self._patches.undo()

    def _look_at(self, name: str) -> None:
        module = sys.modules[name]
        for reader in READERS[name]:
            holder, _, method = reader.rpartition(".")
            owner = getattr(module, holder, None) if holder else module
            original = getattr(owner, method, None)
            if owner is None or original is None:
                continue  # another version of the library
            replacement = self._telling(original, 1 if holder else 0)
            if holder:
                self._patches.attribute(owner, method, replacement)
            else:
                self._patches.everywhere(owner, method, replacement)
        if self._installed:
            self._patches.rebind()

    def _telling(self, original: Any, position: int) -> Any:
        opened = self._opened

        @functools.wraps(original)
        def telling(*arguments: Any, **named: Any) -> Any:
            given = arguments[position] if len(arguments) > position else None
            if given is None:
                given = next((named[name] for name in _PATH_NAMES if name in named), None)
            if isinstance(given, (str, bytes, os.PathLike)):
                mode = named.get("mode", arguments[position + 1] if len(arguments) > position + 1 else "r")
                opened(os.fsdecode(given), mode if isinstance(mode, str) else "r")
            return original(*arguments, **named)

        return telling
