"""Whether the data on disk is what was registered."""

from __future__ import annotations

from pathlib import Path

from repro_hydra.data.cache import StatCache
from repro_hydra.data.diff import diff_entries
from repro_hydra.data.errors import DataError, DataMisuse
from repro_hydra.data.read import Progress
from repro_hydra.data.registry import Registry
from repro_hydra.data.scan import Scan
from repro_hydra.data.versions import (
    cache_or_default,
    data_list,
    data_show,
    entries_of,
    label,
    registry_of,
    scan_again,
)
from repro_hydra.record.data import (
    VERSION_LENGTH,
    DataFinding,
    DataVerdict,
    DataVersion,
)
from repro_hydra.record.schema import Severity

_NAMED_FILES = 5


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
    registry = registry_of(project)
    versions = _to_verify(registry, reference)
    findings: list[DataFinding] = []
    for version in versions:
        findings += _verify_one(registry, version, paranoid, cache_or_default(cache), progress)
    if versions:
        return DataVerdict(ok=not findings, findings=findings)
    nothing = f"{registry.file}: no dataset is registered, so nothing was verified"
    remedy = "repro-hydra data add PATH"
    return DataVerdict(ok=True, findings=[_named("data-none", "harmless", nothing, remedy)])


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
        found = scan_again(registry, version, paranoid, cache, progress)
    except DataMisuse as error:
        return [_finding("data-missing", version, str(error), f"get {label(version)} back to {version.path}")]
    except DataError as error:
        return [
            _finding("data-unreadable", version, str(error), "repro-hydra data verify, once it can be read")
        ]
    if found.digest == version.digest:
        return []
    message = f"{version.path}: expected {label(version)}, found {found.digest[:VERSION_LENGTH]}"
    known = [v for v in registry.read() if v.digest == found.digest and v.name == version.name]
    if known:
        message += f", which is the version of {known[0].created_at}"
    message += _what_differs(registry, version, found, cache)
    remedy = f"get {label(version)} back, or register what is there: {add_again}"
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
