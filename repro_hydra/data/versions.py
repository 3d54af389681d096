"""Dataset versions: add, list, show, verify, compare."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from repro_hydra.data.cache import StatCache, default_cache_directory
from repro_hydra.data.diff import diff_entries
from repro_hydra.data.digest import Entry
from repro_hydra.data.errors import DataError, DataMisuse, shown
from repro_hydra.data.manifest import decode_manifest, encode_manifest
from repro_hydra.data.project import find_project, registered_path
from repro_hydra.data.read import Progress
from repro_hydra.data.registry import Registry
from repro_hydra.data.scan import Options, Scan, scan
from repro_hydra.record.data import (
    VERSION_LENGTH,
    DataDiff,
    DataFinding,
    DataVerdict,
    DataVersion,
    DataVersionDocument,
)
from repro_hydra.record.schema import Severity
from repro_hydra.record.store import write_bytes
from repro_hydra.record.times import utc_now

MANIFEST_TO_COMMIT_BYTES = 20_000_000
"""A larger manifest stays in the user's cache: hosts refuse files of 100 MB, and a clone should stay quick."""
_NAMED_FILES = 5


def data_add(
    path: str | Path,
    name: str | None = None,
    description: str | None = None,
    *,
    source: str | None = None,
    ignore: Sequence[str] = (),
    executable: bool = True,
    paranoid: bool = False,
    project: Path | None = None,
    cache: StatCache | None = None,
    progress: Progress | None = None,
    now: Callable[[], str] = utc_now,
) -> DataVersion:
    """Register what lies at `path` as a version, called by its content.

    The same content under the same name is the same version, and gets the new description besides those it has.

    Parameters
    ----------
    name : str, optional
        What the dataset is called; by default the last part of its path.
    source : str, optional
        Where it came from: an address, a DOI.
    ignore : sequence of str
        What is no part of it (`ignore.compile_ignore`); kept with the version.
    executable : bool
        Whether executable bits are part of it.
    project : Path, optional
        The folder that holds ``repro-data``; by default the one around the working directory.

    Raises
    ------
    DataMisuse
        Nothing is at `path`, or it can't be registered as it is.
    DataError
        It can't be read, or the registry can't be read or written; the registry is then as it was.
    """
    path = Path(path).expanduser()
    registry = _registry(project)
    # The name that was asked for, not the one that a link leads to.
    called = _checked_name(name or os.path.basename(os.path.abspath(path)))  # noqa: PTH100, PTH119
    relative = registered_path(path, registry.project)
    registry.read()  # a registry that can't take the version is said before an hour of hashing
    found = scan(
        path, Options(tuple(ignore), executable), cache=_cache(cache), paranoid=paranoid, progress=progress
    )
    manifest = encode_manifest(found.digest, found.snapshot.kind, found.entries())
    if len(manifest) > MANIFEST_TO_COMMIT_BYTES:
        _keep_in_cache(_cache(cache), found.digest, manifest)
    moment = now()
    version = DataVersion(
        name=called,
        version=found.digest[:VERSION_LENGTH],
        digest=found.digest,
        kind=found.snapshot.kind,
        path=relative,
        size_bytes=found.snapshot.size_bytes,
        files=found.snapshot.files,
        descriptions=[description] if description else [],
        source=source,
        created_at=moment,
        updated_at=moment,
        ignore=list(ignore),
        executable=executable,
    )
    return registry.add(version, manifest if len(manifest) <= MANIFEST_TO_COMMIT_BYTES else None)


def data_list(*, project: Path | None = None) -> list[DataVersion]:
    """All registered versions, newest first."""
    return sorted(_registry(project).read(), key=lambda v: (v.created_at, v.name, v.digest), reverse=True)


def data_show(reference: str, *, project: Path | None = None) -> DataVersion:
    """The version that `reference` means: ``NAME`` (its newest), ``NAME@VERSION`` or ``VERSION``.

    A version may be cut short where the beginning is unique.

    Raises
    ------
    DataMisuse
        Nothing or several things are called so.
    """
    versions = data_list(project=project)
    of_name = [v for v in versions if v.name == reference]
    if of_name:
        return of_name[0]
    name, _, prefix = reference.rpartition("@")
    matching = [v for v in versions if prefix and v.digest.startswith(prefix) and name in ("", v.name)]
    if not matching:
        known = ", ".join(sorted({v.name for v in versions})) or "none yet"
        raise DataMisuse(f"{reference}: no dataset or version is called so; known are: {known}")
    if len({v.digest for v in matching}) > 1:
        candidates = ", ".join(f"{v.name}@{v.version}" for v in matching)
        raise DataMisuse(f"{reference}: could be any of {candidates}")
    return matching[0]


def data_verify(
    reference: str | None = None,
    *,
    paranoid: bool = False,
    project: Path | None = None,
    cache: StatCache | None = None,
    progress: Progress | None = None,
) -> DataVerdict:
    """Whether the data on disk is what was registered.

    Parameters
    ----------
    reference : str, optional
        As for `data_show`; by default all datasets. Of a name, the newest version at each path where it lies.
    paranoid : bool
        Read every file, also those whose size, times and inode say that nobody wrote to them.
    """
    registry = _registry(project)
    versions = _to_verify(registry, reference)
    findings: list[DataFinding] = []
    for version in versions:
        findings += _verify_one(registry, version, paranoid, _cache(cache), progress)
    if versions:
        return DataVerdict(ok=not findings, findings=findings)
    nothing = f"{registry.file}: no dataset is registered, so nothing was verified"
    remedy = "repro-hydra data add PATH"
    return DataVerdict(ok=True, findings=[_named("data-none", "harmless", nothing, remedy)])


def data_diff(
    a: str,
    b: str | None = None,
    *,
    project: Path | None = None,
    cache: StatCache | None = None,
    progress: Progress | None = None,
) -> DataDiff:
    """What was added, removed, changed and renamed from version `a` to version `b`.

    Without `b` it is what now lies at the path of `a`.

    Raises
    ------
    DataError
        The list of a version's files is neither in the project nor in this user's cache.
    """
    registry = _registry(project)
    first = data_show(a, project=registry.project)
    before = entries_of(registry, first, _cache(cache))
    if b is None:
        now = _scan(registry, first, False, _cache(cache), progress)
        return diff_entries(_label(first), first.path, before, now.entries())
    second = data_show(b, project=registry.project)
    return diff_entries(_label(first), _label(second), before, entries_of(registry, second, _cache(cache)))


def document(version: DataVersion) -> DataVersionDocument:
    """What the commands print of a version."""
    return DataVersionDocument(
        name=version.name,
        version=version.version,
        digest=version.digest,
        path=version.path,
        size_bytes=version.size_bytes,
        files=version.files,
        description="\n".join(version.descriptions) or None,
        source=version.source,
        created_at=version.created_at,
        kind=version.kind,
        ignore=version.ignore,
        executable=version.executable,
    )


def entries_of(registry: Registry, version: DataVersion, cache: StatCache) -> list[Entry]:
    """What `version` holds, from its manifest in the project or in this user's cache."""
    for path in (registry.manifest(version.digest), _manifest_in_cache(cache, version.digest)):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        return decode_manifest(path, data, version.digest)
    raise DataError(
        f"{_label(version)}: the list of its files is not here ({registry.manifest(version.digest)}). "
        f"Where that data lies, run: repro-hydra data add {version.path} --name {version.name}"
    )


def _to_verify(registry: Registry, reference: str | None) -> list[DataVersion]:
    versions = data_list(project=registry.project)
    if reference is not None and all(v.name != reference for v in versions):
        return [data_show(reference, project=registry.project)]
    newest: dict[tuple[str, str], DataVersion] = {}
    for version in sorted(versions, key=lambda v: v.updated_at, reverse=True):
        if reference in (None, version.name):
            newest.setdefault((version.name, version.path), version)
    return [newest[key] for key in sorted(newest)]


def _verify_one(
    registry: Registry, version: DataVersion, paranoid: bool, cache: StatCache, progress: Progress | None
) -> list[DataFinding]:
    add_again = f"repro-hydra data add {version.path} --name {version.name}"
    try:
        found = _scan(registry, version, paranoid, cache, progress)
    except DataMisuse as error:
        return [
            _finding("data-missing", version, str(error), f"get {_label(version)} back to {version.path}")
        ]
    except DataError as error:
        return [
            _finding("data-unreadable", version, str(error), "repro-hydra data verify, once it can be read")
        ]
    if found.digest == version.digest:
        return []
    message = f"{version.path}: expected {_label(version)}, found {found.digest[:VERSION_LENGTH]}"
    known = [v for v in registry.read() if v.digest == found.digest and v.name == version.name]
    if known:
        message += f", which is the version of {known[0].created_at}"
    message += _what_differs(registry, version, found, cache)
    remedy = f"get {_label(version)} back, or register what is there: {add_again}"
    return [_finding("data-changed", version, message, remedy)]


def _what_differs(registry: Registry, version: DataVersion, found: Scan, cache: StatCache) -> str:
    try:
        diff = diff_entries("", "", entries_of(registry, version, cache), found.entries())
    except DataError:
        return ""  # no list of the files: the digests alone say that they differ
    parts = []
    names = {"changed": diff.changed, "added": diff.added, "removed": diff.removed}
    names["renamed"] = [f"{pair.old} to {pair.new}" for pair in diff.renamed]
    for what, paths in names.items():
        if paths:
            more = ", …" if len(paths) > _NAMED_FILES else ""
            parts.append(f"{len(paths)} {what} ({', '.join(paths[:_NAMED_FILES])}{more})")
    return ": " + "; ".join(parts) if parts else ""


def _finding(kind: str, version: DataVersion, message: str, remedy: str) -> DataFinding:
    return _named(f"{kind}:{version.name}", "blocks", message, remedy)


def _named(finding_id: str, severity: Severity, message: str, remedy: str) -> DataFinding:
    return DataFinding(id=finding_id, severity=severity, message=message, remedy=remedy)


def _scan(
    registry: Registry, version: DataVersion, paranoid: bool, cache: StatCache, progress: Progress | None
) -> Scan:
    options = Options(tuple(version.ignore), version.executable)
    return scan(registry.project / version.path, options, cache=cache, paranoid=paranoid, progress=progress)


def _label(version: DataVersion) -> str:
    return f"{version.name}@{version.version}"


def _checked_name(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    if not name.strip() or "@" in name or shown(raw) != name:
        raise DataMisuse(
            f"{shown(raw)!r} can't name a dataset: expected printable text without '@'. Give --name"
        )
    return name


def _registry(project: Path | None) -> Registry:
    # A door for scripts and notebooks: below it the folder is always handed in.
    return Registry(find_project(Path.cwd()) if project is None else project)


def _cache(cache: StatCache | None) -> StatCache:
    return StatCache(default_cache_directory()) if cache is None else cache


def _manifest_in_cache(cache: StatCache, digest: str) -> Path:
    return cache.directory / "manifests" / f"{digest}.jsonl"


def _keep_in_cache(cache: StatCache, digest: str, manifest: bytes) -> None:
    path = _manifest_in_cache(cache, digest)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, manifest)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); the registry is as it was") from None
