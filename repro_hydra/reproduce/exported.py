"""A run in an export (`repro-hydra export`): found in its folder or file, its code taken from there."""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from repro_hydra.record.code import BundleFile, CodeRecord
from repro_hydra.record.export import EXPORT_NAME, ExportedCode, ExportRecord
from repro_hydra.record.find import Located, UnresolvedReference
from repro_hydra.record.manifest import digest_bytes
from repro_hydra.record.store import RecordError, read
from repro_hydra.reproduce.inside import LeadsOut, path_inside, read_inside
from repro_hydra.temporary import TemporaryFolder

_OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_DEPTH = 10
"""How far above a run's directory its export may begin."""
_MOST_BYTES = 64 << 30
_MOST_FILES = 1_000_000
_CHUNK_BYTES = 1 << 20


@contextmanager
def opened(reference: str) -> Iterator[Located | None]:
    """The run or sweep in the export that `reference` names; None where it names none.

    A file is unpacked for as long as this is open.

    Raises
    ------
    UnresolvedReference
        It is a file that is no export, or a damaged one.
    """
    path = Path(reference).expanduser()
    if path.is_dir() and (path / EXPORT_NAME).is_file():
        yield _located(path.absolute())
    elif path.is_file():
        with TemporaryFolder("reproduce") as folder:
            _unpack(path, folder)
            if not (folder / EXPORT_NAME).is_file():
                raise UnresolvedReference(f"{path}: expected an export with {EXPORT_NAME} in it, found none")
            yield _located(folder)
    else:
        yield None


def _located(folder: Path) -> Located:
    try:
        record = read(folder / EXPORT_NAME, ExportRecord)
        root = path_inside(folder, record.root)
    except (RecordError, LeadsOut) as error:
        raise UnresolvedReference(f"{folder}: {error}") from None
    return Located(str(root), "sweep" if record.kind == "sweep" else "run")


def _unpack(archive: Path, target: Path) -> None:
    """Files only, all of them below `target`, and not without end."""
    try:
        with zipfile.ZipFile(archive) as opened_archive:
            members = opened_archive.infolist()
            if len(members) > _MOST_FILES or sum(item.file_size for item in members) > _MOST_BYTES:
                raise UnresolvedReference(f"{archive}: too large to be unpacked")
            for item in members:
                if item.is_dir():
                    continue
                if stat.S_IFMT(item.external_attr >> 16) not in (0, stat.S_IFREG):
                    raise UnresolvedReference(
                        f"{archive}: {item.filename!r} is no plain file; nothing was run"
                    )
                place = path_inside(target, item.filename)
                place.parent.mkdir(parents=True, exist_ok=True)
                _copy(opened_archive, item, place)
    except (zipfile.BadZipFile, LeadsOut, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise UnresolvedReference(f"{archive}: expected an export, found {error}") from None


def _copy(archive: zipfile.ZipFile, item: zipfile.ZipInfo, place: Path) -> None:
    left = item.file_size
    with archive.open(item) as source, place.open("xb") as sink:
        while chunk := source.read(_CHUNK_BYTES):
            left -= len(chunk)
            if left < 0:
                raise zipfile.BadZipFile(f"{item.filename!r} is larger than it says")
            sink.write(chunk)


def with_exported_code(
    run_dir: Path, code: CodeRecord | None, files: dict[str, bytes], problems: list[str]
) -> CodeRecord | None:
    """`code` with the export's bundle in the place of the repository, which is not here; `files` gets the bundle."""
    found = _export_above(run_dir)
    if code is None or found is None:
        return code
    folder, record = found
    by_tree = {item.tree: item for item in record.code}
    others = [_with_bundle(other, by_tree, folder, files, problems) for other in code.others]
    code = _with_bundle(code, by_tree, folder, files, problems)
    return msgspec.structs.replace(code, others=others)


def _with_bundle(
    code: CodeRecord,
    by_tree: dict[str, ExportedCode],
    folder: Path,
    files: dict[str, bytes],
    problems: list[str],
) -> CodeRecord:
    item = by_tree.get(code.tree or "")
    if item is None:
        return code
    if not _OBJECT_ID.fullmatch(item.snapshot):
        problems.append(f"{EXPORT_NAME}: snapshot: expected an object id, found {item.snapshot!r}")
        return code
    try:
        data = read_inside(folder, item.bundle)
    except (LeadsOut, OSError) as error:
        problems.append(f"{item.bundle}: {error}")
        return code
    if data is None or digest_bytes(data) != item.blake3:
        problems.append(f"{item.bundle}: is not the one that {EXPORT_NAME} names (its digest differs)")
        return code
    name = f"exported-{item.tree[:12]}.bundle"
    files[name] = data
    bundle = BundleFile(path=name, blake3=item.blake3, size_bytes=len(data))
    # The commit of the run is not there, only its tree; the program that asks git is told the export's commit.
    return msgspec.structs.replace(
        code, snapshot=item.snapshot, snapshot_ref=None, commit=item.snapshot, bundle=bundle, patch=None
    )


def _export_above(run_dir: Path) -> tuple[Path, ExportRecord] | None:
    for folder in [run_dir, *run_dir.parents][:_DEPTH]:
        if not (folder / EXPORT_NAME).is_file():
            continue
        try:
            record = read(folder / EXPORT_NAME, ExportRecord)
        except RecordError:
            return None  # a file of that name, and of somebody else's making
        if any(os.path.normpath(folder / run.dir) == os.path.normpath(run_dir) for run in record.runs):
            return folder, record
    return None
