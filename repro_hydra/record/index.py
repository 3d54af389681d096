"""What `list` read the last time, so that the next time costs a `stat` for each file and no more.

Only a cache, in the user's cache folder: deleting it loses nothing, a damaged one is ignored and made again, and
of two processes that write it at once each leaves a whole file. A folder or file counts as unchanged while size,
times and inode are the same; one that changed within a moment of the look is looked at again, as git does.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from repro_hydra.record.find import (
    NOT_ENTERED,
    RunHead,
    is_known_schema,
    read_head,
    read_result,
    read_sweep_id,
)
from repro_hydra.record.index_file import LAYOUT, Content, Key, KnownFolder, KnownRun, load
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.plain_file import read_plain
from repro_hydra.record.schema import JSON
from repro_hydra.record.store import RecordError, write_bytes

SMALLEST_WORTH_KEEPING = 200
"""Runs below a root; fewer are read faster than an index is."""
_RACY_NS = 2_000_000_000  # network file systems keep times to the second
_RUN, _RESULT, _SWEEP, _CONFIG = (
    f"/{RECORD_DIR}/{name}.json" for name in ("run", "result", "sweep", "config")
)


@dataclass(slots=True)
class Entry:
    """A record that was found, or something in the place of one."""

    dir: str
    """Absolute."""
    head: RunHead | None = None
    result: dict[str, JSON] | None = None
    problem: str | None = None
    """Why the record, or (with a head) its result, cannot be read."""
    _run: KnownRun | None = field(default=None, repr=False)


class RecordIndex:
    """The runs below some roots, with an index of each root that is large enough for one.

    Parameters
    ----------
    directory : Path, optional
        Where indexes are kept; the user's cache folder by default.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._seen: set[str] = set()
        self._roots: list[_Root] = []

    def runs(self, roots: Iterable[Path]) -> Iterator[Entry]:
        """Each run below `roots`, and whatever is damaged, once; a sweep that can be read comes as its jobs."""
        for root in roots:
            shown = os.path.abspath(root)  # noqa: PTH100 (keeps the name that the user gave)
            real = os.path.realpath(shown)
            looked = _Root(shown, real, self._file(real), self._seen)
            self._roots.append(looked)
            yield from looked.runs()

    def config(self, entry: Entry) -> Mapping[str, JSON] | None:
        """The resolved config of a run, nested as it is; None where it left none that can be read."""
        path = entry.dir + _CONFIG
        key = _key(path)
        run = entry._run
        if key is None:
            return None
        if run is not None and run.config_key == key and not self._is_racy(entry, key):
            return _decoded(run.config)
        try:
            data = _resolved(read_plain(path))
        except OSError:
            return None
        if data is not None and run is not None:
            run.config_key, run.config = key, data
            self._changed(entry)
        return None if data is None else _decoded(data)

    def save(self) -> None:
        """Keep what was learnt; where that is not possible the next look reads again."""
        for root in self._roots:
            root.save()

    def _changed(self, entry: Entry) -> None:
        for root in self._roots:
            root.changed |= entry.dir.startswith(root.shown)

    def _is_racy(self, entry: Entry, key: Key) -> bool:
        return any(entry.dir.startswith(root.shown) and root.is_racy(key) for root in self._roots)

    def _file(self, real: str) -> Path:
        import hashlib

        if self._directory is None:
            import platformdirs

            self._directory = Path(platformdirs.user_cache_dir("repro-hydra", appauthor=False)) / "runs"
        return self._directory / f"{hashlib.sha256(os.fsencode(real)).hexdigest()[:32]}.msgpack"


class _Root:
    """One root: what its index held, and what is there now."""

    def __init__(self, shown: str, real: str, file: Path, seen: set[str]) -> None:
        self.shown = shown
        self.changed = False
        self._real = real
        self._file = file
        self._seen = seen
        before = load(file, real)
        self._racy_from_ns = 0 if before is None else before.taken_ns - _RACY_NS
        self._old = before or Content(LAYOUT, real, 0, {}, {}, {})
        self._new = Content(LAYOUT, real, time.time_ns(), {}, {}, {})

    def is_racy(self, key: Key) -> bool:
        """Whether what has this key may have changed after it was read, within the clock's step."""
        return key[1] >= self._racy_from_ns or key[2] >= self._racy_from_ns

    def runs(self) -> Iterator[Entry]:
        pending = [""]
        while pending:
            below = pending.pop()
            if self._real + below in self._seen:
                continue
            self._seen.add(self._real + below)
            here = self.shown + below
            try:
                folder = self._folder(here, below)
            except OSError as error:
                yield Entry(here, problem=f"{here}: cannot be read ({error.strerror})")
                continue
            if folder.has_record:
                yield from self._records(here, below)
            pending += [f"{below}/{name}" for name in folder.names]

    def _folder(self, here: str, below: str) -> KnownFolder:
        key = _key_of(os.stat(here))  # noqa: PTH116 (10,000 times)
        folder = self._old.folders.get(below)
        if folder is None or folder.key != key or self.is_racy(key):
            self.changed = True
            with os.scandir(here) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
            entered = [name for name in names if name not in NOT_ENTERED and name != RECORD_DIR]
            folder = KnownFolder(key, entered, RECORD_DIR in names)
        self._new.folders[below] = folder
        return folder

    def _records(self, here: str, below: str) -> Iterator[Entry]:
        run = _key(here + _RUN)
        plan = None if run is not None and self._is_a_run_alone(below) else _key(here + _SWEEP)
        if plan is not None and (problem := self._plan_problem(here, below, plan)) is not None:
            yield Entry(here, problem=problem)
        if run is not None:
            yield self._run(here, below, run)
        if plan is None and run is None:
            yield Entry(here, problem=f"{here}/{RECORD_DIR}: expected run.json or sweep.json, found neither")

    def _is_a_run_alone(self, below: str) -> bool:
        """Whether a run without a sweep was here, in a folder that nothing was put into since: no look for a plan.

        A sweep in a run's directory brings job folders with it, or ``multirun.yaml``.
        """
        folder = self._new.folders[below]
        return (
            self._old.folders.get(below) is folder
            and below in self._old.runs
            and below not in self._old.sweeps
        )

    def _plan_problem(self, here: str, below: str, key: Key) -> str | None:
        if self._old.sweeps.get(below) != key or self.is_racy(key):
            self.changed = True
            try:
                read_sweep_id(here)
            except RecordError as error:
                return str(error)
        self._new.sweeps[below] = key
        return None

    def _run(self, here: str, below: str, key: Key) -> Entry:
        run = self._old.runs.get(below)
        if run is None or run.key != key or self.is_racy(key):
            self.changed = True
            try:
                head = read_head(here)
            except RecordError as error:
                return Entry(here, problem=str(error))
            run = KnownRun(key, head) if run is None else KnownRun(
                key, head, run.result_key, run.result, run.config_key, run.config
            )  # fmt: skip
        result_key = _key(here + _RESULT)
        if result_key is None:
            run.result_key, run.result = None, None
        elif run.result_key != result_key or self.is_racy(result_key):
            self.changed = True
            try:
                run.result_key, run.result = result_key, read_result(here)
            except RecordError as error:
                return Entry(here, run.head, None, str(error))
        self._new.runs[below] = run
        return Entry(here, run.head, run.result, None, run)

    def save(self) -> None:
        if not self.changed or len(self._new.runs) < SMALLEST_WORTH_KEEPING:
            return
        with contextlib.suppress(OSError, UnicodeEncodeError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(self._file, msgspec.msgpack.encode(self._new))


def _key(path: str) -> Key | None:
    try:
        return _key_of(os.stat(path))  # noqa: PTH116
    except OSError:
        return None


def _key_of(status: os.stat_result) -> Key:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


class _ConfigHead(msgspec.Struct):
    schema: str
    resolved: msgspec.Raw = msgspec.Raw(b"{}")


def _resolved(data: bytes) -> bytes | None:
    try:
        head = msgspec.json.decode(data, type=_ConfigHead)
    except (msgspec.DecodeError, RecursionError):
        return None
    return bytes(head.resolved) if is_known_schema(head.schema) else None


def _decoded(data: bytes) -> Mapping[str, JSON] | None:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
