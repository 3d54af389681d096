"""Which snapshots the records refer to, and whether all records could be looked at."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.find import Located, walk
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.places import DEFAULT_PLACES, every_noted_place, noted_places, project_of
from repro_hydra.record.schema import SweepRecord
from repro_hydra.record.store import RecordError, read


@dataclass(slots=True)
class Referred:
    """What the records say that they need."""

    ids: set[str] = field(default_factory=set)
    """Commits and trees."""
    located: list[Located] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    """What could not be looked at, in sentences: a record there may need any snapshot."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where records may be that refer to a repository's snapshots."""

    own: list[Path]
    """Of its projects: of each of its work trees, which share the refs."""
    others: list[Path]
    """Of this user's other projects, which may have it as the repository of an editable install."""
    out_of_reach: list[str]


def where_records_may_be(here: Path, roots: Sequence[Path], environ: Mapping[str, str]) -> Places:
    """The folders to look into, and the places of this repository that are out of reach."""
    own = dict.fromkeys(roots)
    out_of_reach: dict[str, None] = {}
    for project in [project_of(here), *_work_trees(here, environ)]:
        own |= dict.fromkeys(project / name for name in DEFAULT_PLACES)
        for place in noted_places(project):
            own[place] = None
            if not place.exists() and not _was_deleted(place, project):
                out_of_reach[
                    f"{place}: records were written there, and it is out of reach (not mounted?)"
                ] = None
    others = [place for place in every_noted_place() if place not in own]
    return Places(
        [place for place in own if place.is_dir()],
        [place for place in others if place.is_dir()],
        list(out_of_reach),
    )


def _was_deleted(place: Path, project: Path) -> bool:
    """Whether a place that is not there was taken away by its user, rather than by a disk that is not mounted."""
    above = next(folder for folder in place.parents if folder.exists())
    return above == place.parent or above == project or project in above.parents


def _work_trees(here: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    try:
        listing = Git(here, environ).run("worktree", "list", "--porcelain", "-z")
    except (GitError, GitUnavailableError):
        return
    for line in listing.split(b"\0"):
        if line.startswith(b"worktree "):
            yield Path(os.fsdecode(line.removeprefix(b"worktree ")))


def referred_to(places: Iterable[Path], leaving_out: Iterable[str] = ()) -> Referred:
    """What the records below `places` refer to, but for those in the directories `leaving_out`."""
    found = Referred()
    out = frozenset(leaving_out)
    for located in walk(places):
        if located.kind == "damaged":
            if not _refers_to_nothing(Path(located.dir)):
                found.unknown.append(located.problem or located.dir)
            continue
        found.located.append(located)
        if located.dir in out:
            continue
        try:
            found.ids |= set(_ids_of(located))
        except RecordError as error:
            found.unknown.append(str(error))
    return found


def _refers_to_nothing(folder: Path) -> bool:
    """A record folder whose run was killed before it had begun."""
    record = RunPaths(folder).record
    return record.is_dir() and os.access(record, os.R_OK | os.X_OK) and not RunPaths(folder).code.exists()


def _ids_of(located: Located) -> Iterator[str]:
    folder = Path(located.dir)
    if located.kind == "sweep":
        sweep = read(SweepPaths(folder).sweep, SweepRecord)
        yield from filter(None, [sweep.snapshot])
        return
    files = [RunPaths(folder).code, *(RunPaths(folder).earlier.glob("*/code.json"))]
    for file in files:
        if file.is_file():
            code = read(file, CodeRecord)
            for one in (code, *code.others):
                yield from filter(None, [one.snapshot, one.tree])
