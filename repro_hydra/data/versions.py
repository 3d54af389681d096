"""Dataset versions: add, list, show, compare."""

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
    DataVersion,
    DataVersionDocument,
)
from repro_hydra.record.redact import redact_text
from repro_hydra.record.store import write_bytes
from repro_hydra.record.times import utc_now

MANIFEST_TO_COMMIT_BYTES = 20_000_000
"""A larger manifest stays in the user's cache: hosts refuse files of 100 MB, and a clone should stay quick."""


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
        Where it came from: an address, a DOI. Credentials in it, or in the description, are not registered.
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
    registry = registry_of(project)
    # The name that was asked for, not the one that a link leads to.
    called = _checked_name(name or os.path.basename(os.path.abspath(path)))  # noqa: PTH100, PTH119
    relative = registered_path(path, registry.project)
    registry.read()  # a registry that can't take the version is said before an hour of hashing
    found = scan(
        path,
        Options(tuple(ignore), executable),
        cache=cache_or_default(cache),
        paranoid=paranoid,
        progress=progress,
    )
    manifest = encode_manifest(found.digest, found.snapshot.kind, found.entries())
    if len(manifest) > MANIFEST_TO_COMMIT_BYTES:
        _keep_in_cache(cache_or_default(cache), found.digest, manifest)
    moment = now()
    version = DataVersion(
        name=called,
        version=found.digest[:VERSION_LENGTH],
        digest=found.digest,
        kind=found.snapshot.kind,
        path=relative,
        size_bytes=found.snapshot.size_bytes,
        files=found.snapshot.files,
        # The registry is committed and pushed: a password in an address is not.
        descriptions=[redact_text(description)] if description else [],
        source=None if source is None else redact_text(source),
        created_at=moment,
        updated_at=moment,
        ignore=list(ignore),
        executable=executable,
    )
    return registry.add(version, manifest if len(manifest) <= MANIFEST_TO_COMMIT_BYTES else None)


def data_list(*, project: Path | None = None) -> list[DataVersion]:
    """All registered versions, newest first."""
    return sorted(registry_of(project).read(), key=lambda v: (v.created_at, v.name, v.digest), reverse=True)


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
    registry = registry_of(project)
    first = data_show(a, project=registry.project)
    before = entries_of(registry, first, cache_or_default(cache))
    if b is None:
        now = scan_again(registry, first, False, cache_or_default(cache), progress)
        return diff_entries(label(first), first.path, before, now.entries())
    second = data_show(b, project=registry.project)
    return diff_entries(
        label(first), label(second), before, entries_of(registry, second, cache_or_default(cache))
    )


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
        f"{label(version)}: the list of its files is not here ({registry.manifest(version.digest)}). "
        f"Where that data lies, run: repro-hydra data add {version.path} --name {version.name}"
    )


def scan_again(
    registry: Registry, version: DataVersion, paranoid: bool, cache: StatCache, progress: Progress | None
) -> Scan:
    """What lies now where `version` did, looked at by its own options."""
    options = Options(tuple(version.ignore), version.executable)
    return scan(registry.project / version.path, options, cache=cache, paranoid=paranoid, progress=progress)


def label(version: DataVersion) -> str:
    """``NAME@VERSION``, as the commands take it."""
    return f"{version.name}@{version.version}"


def _checked_name(name: str) -> str:
    raw = name.encode("utf-8", "surrogateescape")
    if not name.strip() or "@" in name or shown(raw) != name:
        raise DataMisuse(
            f"{shown(raw)!r} can't name a dataset: expected printable text without '@'. Give --name"
        )
    return name


def registry_of(project: Path | None) -> Registry:
    """The project's registry. A door for scripts and notebooks: below it the folder is always handed in."""
    return Registry(find_project(Path.cwd()) if project is None else project)


def cache_or_default(cache: StatCache | None) -> StatCache:
    """The user's own, where none is given."""
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
