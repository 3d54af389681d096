"""The project's list of dataset versions: one line of JSON each, made to be committed and merged.

Below the project, all of it for git but the lock::

    repro-data/registry.jsonl            one version a line, sorted by name and digest
    repro-data/manifests/DIGEST.jsonl    what that version holds
    repro-data/.gitattributes            tells git to keep both sides' lines when it merges the registry
    repro-data/.gitignore                the lock

The hyphen is deliberate: a folder whose name is a Python identifier would be taken for a second top-level
package of the project by setuptools.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from repro_hydra.data.errors import DataError
from repro_hydra.data.manifest import is_digest
from repro_hydra.record.data import VERSION_LENGTH, DataVersion
from repro_hydra.record.schema import SCHEMA_MAJOR
from repro_hydra.record.store import write_bytes

FOLDER = "repro-data"
_LOCK_TIMEOUT_S = 30.0
_ATTRIBUTES = b"registry.jsonl merge=union text eol=lf\nmanifests/*.jsonl -diff text eol=lf\n"
_IGNORED = b"/.lock\n"
_MARKERS = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")


class Registry(msgspec.Struct, frozen=True):
    """The registry of the project at `project`."""

    project: Path

    @property
    def folder(self) -> Path:
        return self.project / FOLDER

    @property
    def file(self) -> Path:
        return self.folder / "registry.jsonl"

    def manifest(self, digest: str) -> Path:
        return self.folder / "manifests" / f"{digest}.jsonl"

    def read(self) -> list[DataVersion]:
        """All versions, sorted by name and digest; none where there is no registry yet.

        Raises
        ------
        DataError
            Conflict markers, a newer version, a line that is cut off or is none of ours: by its number.
        """
        try:
            data = self.file.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(f"{self.file}: cannot be read ({error.strerror})") from None
        return merge_versions(self._lines(data))

    def _lines(self, data: bytes) -> Iterator[DataVersion]:
        for number, text in enumerate(data.split(b"\n"), start=1):
            if not text.strip():
                continue
            where = f"{self.file}:{number}"
            if text.startswith(_MARKERS):
                raise DataError(
                    f"{where}: a conflict marker of a merge. Every line stands for itself: delete the lines "
                    "that begin with <<<<<<<, =======, ||||||| and >>>>>>>, and keep all others"
                )
            yield _version_of(where, text)

    def add(self, version: DataVersion, manifest: bytes | None = None) -> DataVersion:
        """Put `version` into the registry, merged with what is there of it already, and return what stands there.

        The registry is the old one or the new one at every instant; the manifest is there before the line.
        """
        with self._writing(), self._locked():
            if manifest is not None and not _holds(self.manifest(version.digest), manifest):
                self.manifest(version.digest).parent.mkdir(exist_ok=True)
                write_bytes(self.manifest(version.digest), manifest)
            versions = merge_versions([*self.read(), version])
            # A registry that is a link into another checkout stays one.
            write_bytes(self.file.resolve(), encode_registry(versions), durable=True)
        return next(v for v in versions if (v.name, v.digest) == (version.name, version.digest))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, content in ((".gitattributes", _ATTRIBUTES), (".gitignore", _IGNORED)):
                if not (self.folder / name).exists():
                    write_bytes(self.folder / name, content)
            yield
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise DataError(
                f"{self.folder}: cannot be written ({reason}); the registry is as it was. "
                "Make room or make it writable, then run the command again"
            ) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        from filelock import (
            FileLock,
            Timeout,
        )  # imports asyncio, which a reader of the registry need not wait for

        path = self.folder / ".lock"
        try:
            with FileLock(path, timeout=_LOCK_TIMEOUT_S):
                yield
        except Timeout:
            raise DataError(
                f"{path}: held by another process for {_LOCK_TIMEOUT_S:.0f} s. Wait for it, or end it"
            ) from None
        except NotImplementedError:
            raise DataError(f"{path}: this filesystem has no locks; the registry is as it was") from None


def encode_registry(versions: Iterable[DataVersion]) -> bytes:
    return b"".join(msgspec.json.encode(version) + b"\n" for version in versions)


def merge_versions(versions: Iterable[DataVersion]) -> list[DataVersion]:
    """Each version once, sorted: equal content under one name is one version, with all its descriptions.

    Two lines for one version are nothing to complain about: that is what git's union merge makes of two
    people who added it.
    """
    merged: dict[tuple[str, str], DataVersion] = {}
    for version in versions:
        key = (version.name, version.digest)
        merged[key] = _joined(merged[key], version) if key in merged else version
    return [merged[key] for key in sorted(merged)]


def _joined(one: DataVersion, other: DataVersion) -> DataVersion:
    newest: Callable[[DataVersion], tuple[str, str]] = lambda version: (version.updated_at, version.path)  # noqa: E731
    first, last = sorted((one, other), key=newest)
    return msgspec.structs.replace(
        last,
        created_at=min(one.created_at, other.created_at),
        descriptions=list(dict.fromkeys([*first.descriptions, *last.descriptions])),
        source=last.source or first.source,
    )


def _version_of(where: str, text: bytes) -> DataVersion:
    try:
        raw = msgspec.json.decode(text)
        schema = raw.get("schema") if isinstance(raw, dict) else None
        if not isinstance(schema, str) or not schema.split(".")[0].isdigit():
            raise DataError(f"{where}: expected a dataset version of repro-hydra, found {_excerpt(text)}")
        if int(schema.split(".")[0]) != SCHEMA_MAJOR:
            raise DataError(
                f"{where}: schema: this version of repro-hydra reads {SCHEMA_MAJOR}.x, found {schema!r}. "
                "Run: pip install --upgrade repro-hydra"
            )
        version = msgspec.convert(raw, DataVersion)
    except msgspec.ValidationError as error:
        raise DataError(f"{where}: {error}") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DataError(
            f"{where}: expected one JSON object, found {_excerpt(text)} ({error}). "
            "Take the file from git again, or delete that line and add the data again"
        ) from None
    if not is_digest(version.digest) or version.version != version.digest[:VERSION_LENGTH]:
        raise DataError(f"{where}: version: expected the first {VERSION_LENGTH} characters of its digest")
    return version


def _excerpt(text: bytes) -> str:
    return repr(text[:40].decode("utf-8", "backslashreplace")) + (" …" if len(text) > 40 else "")


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False
