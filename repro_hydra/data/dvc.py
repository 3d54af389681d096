"""Data that DVC tracks: the MD5 in ``PATH.dvc`` or ``dvc.lock`` is its version.

Formats: https://dvc.org/doc/user-guide/project-structure/dvc-files and …/dvcyaml-files#dvclock-file. A folder's MD5
is that of the JSON list of its files, sorted by path, with ``.dir`` after it. Before DVC 3 (no ``hash: md5`` in the
entry) text files were hashed with Unix line ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from repro_hydra.data.errors import DataChanged, DataError
from repro_hydra.data.foreign import CheckedOnce, Foreign, rows_of
from repro_hydra.data.ignore import compile_ignore, is_left_out
from repro_hydra.data.walk import FORMAT, REGULAR, Row

_CHUNK_BYTES = 4 << 20
_TEXT_LOOK_BYTES = 512
_STATUS_TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Tracked:
    """An output that DVC knows."""

    foreign: Foreign
    path: Path
    unix_line_ends: bool


def find_tracked(path: Path) -> Tracked | None:
    """What DVC says of exactly this path; None where it does not track it.

    Raises
    ------
    DataError
        The file that should say it is none of DVC's.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 (a link into DVC's cache stays the tracked path)
    beside = path.with_name(f"{path.name}.dvc")
    if beside.is_file():
        for out in _entries(_load(beside).get("outs")):
            if os.path.normpath(beside.parent / str(out.get("path"))) == str(path):
                return _tracked(out, path, beside)
    for folder in path.parents:
        lock = folder / "dvc.lock"
        if lock.is_file():
            for name, stage in _mappings(_load(lock).get("stages")):
                start = None
                for out in _entries(stage.get("outs")):
                    named = os.path.normpath(str(out.get("path")))  # `data/` is a folder's path, too
                    if os.path.basename(named) != path.name:  # noqa: PTH119 (a path as text)
                        continue
                    start = start or _working_folder(folder, name)
                    if start is not None and os.path.normpath(start / named) == str(path):
                        return _tracked(out, path, lock)
        if (folder / ".dvc").is_dir():
            break
    return None


def check(tracked: Tracked, known: CheckedOnce, *, ask_dvc: bool = True) -> Foreign:
    """That the data is what DVC recorded, by ``dvc status`` where that program is, and by MD5 otherwise.

    Raises
    ------
    DataChanged
        It is not.
    DataError
        It can't be read.
    """
    foreign = tracked.foreign
    rows = _without_ignored(tracked.path, rows_of(tracked.path))
    files = [row for row in rows if row[1] & FORMAT == REGULAR]
    if not known.is_known(foreign, rows):
        clean = ask_dvc and _status_is_clean(foreign)
        if not clean and (found := _md5(tracked, files)) != foreign.version:
            raise DataChanged(
                f"{tracked.path}: expected md5 {foreign.version}, as {foreign.file} says, found {found}. "
                "Run: dvc status, then dvc checkout to get it back or dvc commit to keep it"
            )
        known.remember(foreign, rows)
    return Foreign(
        system=foreign.system,
        version=foreign.version,
        file=foreign.file,
        size_bytes=sum(row[2] for row in files),
        files=len(files),
    )


def _tracked(out: Mapping[str, Any], path: Path, file: Path) -> Tracked | None:
    md5 = out.get("md5")
    if not isinstance(md5, str) or not md5:
        return (
            None  # another hash (a remote's ETag), or nothing committed yet: then it is hashed as any other
        )
    foreign = Foreign(system="dvc", version=md5, file=str(file), size_bytes=0, files=0)
    return Tracked(foreign, path, out.get("hash") != "md5")


def _load(file: Path) -> Mapping[str, Any]:
    import yaml  # 15 ms, which data that no DVC tracks need not wait for

    try:
        value = yaml.safe_load(file.read_bytes())
    except (OSError, yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{file}: expected a file of DVC, found none that can be read ({error})") from None
    if not isinstance(value, Mapping):
        raise DataError(f"{file}: expected a mapping, as DVC writes it, found {type(value).__name__}")
    return value


def _mappings(value: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, item in (value if isinstance(value, Mapping) else {}).items():
        if isinstance(item, Mapping):
            yield str(name), item


def _working_folder(folder: Path, stage: str) -> Path | None:
    """What the paths of a stage in ``dvc.lock`` are relative to: ``dvc.yaml`` says; None where it has a template."""
    file = folder / "dvc.yaml"
    if not file.is_file():
        return folder
    # A stage of a loop is called NAME@ITEM in the lock.
    described = dict(_mappings(_load(file).get("stages"))).get(stage.partition("@")[0], {})
    inner = described.get("do", described)
    wdir = inner.get("wdir", ".") if isinstance(inner, Mapping) else "."
    return None if not isinstance(wdir, str) or "${" in wdir else folder / wdir


def _entries(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))


def _without_ignored(path: Path, rows: list[Row]) -> list[Row]:
    """The rows without what a ``.dvcignore`` above them leaves out."""
    patterns: list[str] = []
    for folder in (path, *path.parents):
        file = folder / ".dvcignore"
        if file.is_file():
            lines = [line.strip() for line in file.read_text(errors="replace").splitlines()]
            patterns += [line for line in lines if line and not line.startswith(("#", "!"))]
        if (folder / ".dvc").is_dir():
            break
    ignored = compile_ignore([*patterns, ".dvc/", ".git/", ".hg/", ".dvcignore"])
    return [row for row in rows if not row[0] or not is_left_out(row[0], ignored, row[1] & FORMAT != REGULAR)]


def _status_is_clean(foreign: Foreign) -> bool:
    """Whether DVC itself says so, by the times it keeps: it need not read the data."""
    program = shutil.which("dvc", path=os.pathsep.join([f"{sys.prefix}/bin", os.environ.get("PATH", "")]))
    if program is None or foreign.file is None or not foreign.file.endswith(".dvc"):
        return False
    file = Path(foreign.file)
    try:
        done = subprocess.run(
            [program, "status", "--quiet", file.name],
            cwd=file.parent,
            check=False,
            env={**os.environ, "DVC_NO_ANALYTICS": "1", "DVC_TEST": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_STATUS_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False  # it could not say: the MD5 will
    return done.returncode == 0


def _md5(tracked: Tracked, files: list[Row]) -> str:
    root = Path(os.path.realpath(tracked.path))
    if not root.is_dir():
        return _md5_of_file(root, tracked.unix_line_ends)
    listing = []
    for row in files:
        relative = os.fsdecode(row[0])
        listing.append({"md5": _md5_of_file(root / relative, tracked.unix_line_ends), "relpath": relative})
    listing.sort(key=lambda entry: entry["relpath"])
    return (
        hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
    )


def _md5_of_file(file: Path, unix_line_ends: bool) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with file.open("rb") as stream:
            convert = unix_line_ends and _is_text(stream.read(_TEXT_LOOK_BYTES))
            stream.seek(0)
            if convert:
                digest.update(stream.read().replace(b"\r\n", b"\n"))
            else:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def _is_text(beginning: bytes) -> bool:
    """As DVC 2 told text: no NUL, and at most a third of the bytes outside of printable ASCII."""
    if not beginning:
        return True
    if b"\0" in beginning:
        return False
    printable = bytes(range(32, 127)) + b"\n\r\t\f\b"
    odd = beginning.translate(None, printable)
    return len(odd) / len(beginning) <= 0.3
