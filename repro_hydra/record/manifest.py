"""The manifest: a BLAKE3 digest of each file of the record and of each file that the job wrote."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import blake3

from repro_hydra.record.paths import ATTEMPTS, CHECKPOINTS, LOCK, RECORD_DIR, TRACKING, RunPaths
from repro_hydra.record.plain_file import open_plain
from repro_hydra.record.schema import Manifest, ManifestEntry
from repro_hydra.record.store import encodable, encode, read, write_bytes

_SKIPPED_DIRECTORIES = {f"{RECORD_DIR}-earlier"}
WEIGHTS = (".pt", ".pth", ".ckpt", ".npz", ".npy", ".safetensors")
"""How files of weights end."""
_NOT_OF_THE_RESULT = {TRACKING, CHECKPOINTS, ATTEMPTS}
MIRROR_SUFFIX = ".repro"
_CHUNK_BYTES = 1 << 20


def digest_bytes(data: bytes) -> str:
    return blake3.blake3(data).hexdigest()


def digest_file(path: Path) -> str:
    """BLAKE3 of the file's content, hexadecimal."""
    hasher = blake3.blake3()
    with open_plain(path) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def is_mirror(name: str) -> bool:
    """Whether a file of that name is our own copy of the record for TensorBoard, which may grow after the run."""
    return name.startswith("events.out.tfevents.") and name.endswith(MIRROR_SUFFIX)


def write_manifest(paths: RunPaths) -> str:
    """Digest the run directory as it stands, write ``manifest.json``, and return the manifest's own digest.

    Other runs below this directory (the jobs of a sweep, nested runs) have their own manifests and are passed
    over. What is neither file nor directory (sockets, dangling links), or has a name that JSON cannot hold, is named
    in `left_out`.
    """
    entries: list[ManifestEntry] = []
    left_out: dict[str, str] = {}
    for path in _files(paths):
        name = path.relative_to(paths.run_dir).as_posix()
        if (said := encodable(name)) != name:
            left_out[said] = "its name is no UTF-8"  # and a name in JSON has to lead back to the file
            continue
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                left_out[name] = "neither a file nor a directory"
                continue
            entries.append(ManifestEntry(path=name, blake3=digest_file(path), size_bytes=status.st_size))
        except OSError as error:
            left_out[name] = error.strerror or type(error).__name__
    entries.sort(key=lambda entry: entry.path)
    data = encode(Manifest(files=entries, left_out=left_out))
    write_bytes(paths.manifest, data, durable=True)
    return digest_bytes(data)


def read_manifest(paths: RunPaths) -> Manifest:
    """The manifest; `RecordError` where there is none that can be read."""
    return read(paths.manifest, Manifest)


def _files(paths: RunPaths) -> Iterator[Path]:
    for directory, subdirectories, names in os.walk(paths.run_dir):
        here = Path(directory)
        if here != paths.run_dir and here != paths.record:
            # The record of another run begins here.
            subdirectories[:] = [] if (here / RECORD_DIR).is_dir() else subdirectories
            if (here / RECORD_DIR).is_dir():
                continue
        skipped = _NOT_OF_THE_RESULT if here == paths.record else _SKIPPED_DIRECTORIES
        subdirectories[:] = sorted(d for d in subdirectories if d not in skipped)
        for name in sorted(names):
            path = here / name
            if path == paths.manifest or (here == paths.record and name.endswith(".tmp")):
                continue
            if not is_mirror(name) and not (here == paths.run_dir and name.startswith(LOCK)):
                yield path
