"""Data of Hugging Face's hub and of its library `datasets`: a commit, or a fingerprint, is its version.

A snapshot in the hub's cache holds links to blobs, which are named by the SHA-256 of their content (large files) or
by their git blob id. What `datasets` saved (`save_to_disk`) has its fingerprint in ``state.json``, and names its files.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from repro_hydra.data.cache import StatCache
from repro_hydra.data.errors import DataChanged
from repro_hydra.data.foreign import CheckedOnce, Foreign, rows_of
from repro_hydra.data.scan import Options, scan
from repro_hydra.data.walk import FORMAT, REGULAR

_SNAPSHOT = re.compile(
    r"/(?P<kind>models|datasets|spaces)--(?P<name>[^/]+)/snapshots/(?P<commit>[0-9a-f]{40})/?$"
)
_CHUNK_BYTES = 4 << 20
WORKING_FILES = ("cache-*.arrow", "tmp*")
"""What `map` and `filter` put beside the data of a set that was loaded from a folder."""
_CONTENT_DIGITS = 32


def find_snapshot(path: Path, known: CheckedOnce) -> Foreign | None:
    """The repository and commit that the folder `path` is a snapshot of, each file checked against its blob's name.

    Raises
    ------
    DataChanged
        A file is missing, or is not what its blob is called.
    """
    match = _SNAPSHOT.search(os.path.abspath(path))  # noqa: PTH100
    if match is None or not path.is_dir():
        return None
    rows = rows_of(path)
    files = [row for row in rows if row[1] & FORMAT == REGULAR]
    repository = match["name"].replace("--", "/")
    kind = "" if match["kind"] == "models" else f"{match['kind']}/"
    foreign = Foreign(
        system="huggingface-hub",
        version=f"{kind}{repository}@{match['commit']}",
        file=None,
        size_bytes=sum(row[2] for row in files),
        files=len(files),
    )
    if known.is_known(foreign, rows):
        return foreign
    for row in files:
        _check_blob(path / os.fsdecode(row[0]))
    known.remember(foreign, rows)
    return foreign


def _check_blob(file: Path) -> None:
    blob = Path(os.path.realpath(file))
    expected = blob.name
    if blob.parent.name != "blobs" or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", expected):
        raise DataChanged(
            f"{file}: expected a link to a blob of the hub's cache, found {blob}. Fetch the snapshot again"
        )
    large = len(expected) == 64
    digest: Any = hashlib.sha256() if large else hashlib.sha1(usedforsecurity=False)
    if not large:
        digest.update(b"blob %d\0" % blob.stat().st_size)
    with blob.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        raise DataChanged(
            f"{file}: its content is not the blob {expected}: {digest.hexdigest()}. Fetch it again"
        )


def find_saved(path: Path, *, cache: StatCache | None = None, paranoid: bool = False) -> Foreign | None:
    """The fingerprint of what `datasets` saved at `path`, one data set or a dictionary of splits.

    It tells how the data was made, and nothing of the files: what is in them is digested beside it.

    Raises
    ------
    DataChanged
        A file that it names is missing.
    DataError
        One cannot be read.
    """
    parts = _parts(path)
    if not parts:
        return None
    fingerprints = []
    for name, folder in parts.items():
        state = _json(folder / "state.json")
        if not isinstance(state, dict) or not isinstance(state.get("_fingerprint"), str):
            return None
        for entry in state.get("_data_files") or ():
            file = folder / str(entry.get("filename"))
            if not file.is_file():
                raise DataChanged(f"{file}: is missing, though {folder / 'state.json'} names it")
        fingerprints.append((name, state["_fingerprint"]))
    found = scan(path, Options(ignore=WORKING_FILES), cache=cache, paranoid=paranoid)
    version = "+".join(f"{name}:{value}" if name else value for name, value in fingerprints)
    return Foreign(
        system="huggingface-datasets",
        version=version,
        file=str(path / ("dataset_dict.json" if "" not in parts else "state.json")),
        size_bytes=found.snapshot.size_bytes,
        files=found.snapshot.files,
        content=found.digest[:_CONTENT_DIGITS],
        ignore=WORKING_FILES,
    )


def _parts(path: Path) -> dict[str, Path]:
    if (path / "state.json").is_file():
        return {"": path}
    splits = _json(path / "dataset_dict.json")
    names = splits.get("splits") if isinstance(splits, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and "/" not in name for name in names):
        return {}
    return {name: path / name for name in sorted(names)}


def _json(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None  # none of theirs: the data is hashed as any other
