"""Of all that was opened, what is an input that nothing else of the record holds."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from repro_hydra.inputs.hubs import HubSource, hub_source, is_index_of_hub
from repro_hydra.inputs.mapped import files_in_use
from repro_hydra.inputs.places import Places
from repro_hydra.inputs.recorder import Recorder
from repro_hydra.inputs.stamps import CLOCK_TICK_NS, Stamp, stamp_of

NATIVE_READERS = (
    "h5py", "pyarrow", "cv2", "safetensors", "lmdb", "netCDF4", "polars", "duckdb", "tensorflow", "torchaudio",
    "soundfile", "decord", "av", "rasterio", "pyogrio", "fiona", "tables", "rdkit", "SimpleITK", "openslide",
    "torchcodec", "webdataset", "ffcv", "nvidia.dali", "zarr", "laspy", "pysam",
)  # fmt: skip
"""Libraries that open files without Python's help; nothing is held against a run for importing one."""


NO_FILES = (
    "what is in no file's content: the clock, process ids, names of host and user, the order, sizes and times of files "
    "in a folder, which files exist, addresses, the timing of threads (repro-hydra check varies most of these); what "
    "compiled code asks the system by itself: random numbers, variables"
)


@dataclass(slots=True)
class Inputs:
    """The inputs of a job that neither its snapshot nor a declared dataset holds."""

    files: dict[str, Stamp] = field(default_factory=dict)
    """By absolute path as it was opened, symbolic links not resolved."""
    hubs: dict[HubSource, dict[str, Stamp]] = field(default_factory=dict)
    of_runs: dict[str, Stamp] = field(default_factory=dict)
    """In the directories of other runs."""
    changed_code: list[str] = field(default_factory=list)
    """Held by the snapshot with another content than they had by the time the job read them."""
    changed_at_start: list[str] = field(default_factory=list)
    """Held by the snapshot, and changed between a first reading and the snapshot: it may hold either."""
    settings: list[str] = field(default_factory=list)
    """In the user's home: no inputs, for libraries read them by the dozen."""
    held_at: dict[str, str] = field(default_factory=dict)
    """What the snapshot holds, by real path where the user has it: where the job found it."""
    rewritten: list[str] = field(default_factory=list)
    """Databases that were opened and changed: what was read of them before can't be told."""


def undeclared(
    recorder: Recorder,
    places: Places,
    *,
    declared: Callable[[str], bool],
    held: Callable[[Collection[str], Collection[str]], tuple[Collection[str], Collection[str]]],
    moved: Mapping[str, str] | None = None,
) -> Inputs:
    """What was read and is held nowhere.

    Parameters
    ----------
    declared : callable
        Whether a declared dataset holds this absolute path.
    held : callable
        Of real paths, and of others that were written to since the job began, those that the code's snapshot holds,
        and those that it holds with another content.
    moved : mapping, optional
        Folders that the job found elsewhere than the user has them (a frozen checkout), to the user's.
    """
    found = Inputs()
    recorder.looked_at(files_in_use())
    opened = {path: stamp for path, stamp in recorder.reads.items() if stamp is not None}
    candidates: dict[str, tuple[str, Stamp]] = {}  # by real path: the first name that it was opened by
    recent: dict[str, str] = {}
    again: dict[str, str] = {}
    early: dict[str, str] = {}
    found_at: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path, stamp in opened.items():
        name, real = _names(path, moved or {}, folders)
        if places.excludes(name) or places.excludes(real) or is_index_of_hub(name):
            if places.is_setting(name):
                found.settings.append(name)
            continue
        # A frozen copy of the code is nobody's to write to; a hub's file is known by its revision, whenever it came.
        still = name != os.path.normpath(path) or hub_source(name) is not None
        if still or stamp.ctime_ns < recorder.started_ns - CLOCK_TICK_NS:
            candidates.setdefault(real, (name, stamp))
            found_at.setdefault(real, path)
            if path in recorder.read_again:
                again[real] = name
            if path in recorder.changed_before:
                early[real] = name
        else:  # made while the job ran, by itself as far as can be told: torch.save writes without Python
            recent.setdefault(real, name)
    for path, stamp in recorder.databases.items():
        name, real = _names(path, moved or {}, folders)
        made = stamp.ctime_ns >= recorder.started_ns - CLOCK_TICK_NS
        if not made and not places.excludes(name) and not places.excludes(real):
            if _stamp(path) == stamp:
                candidates.setdefault(real, (name, stamp))
            else:
                found.rewritten.append(name)
    for real, (path, _) in list(candidates.items()):
        if declared(path) or (real != path and declared(real)):
            del candidates[real]
    suspected = recent | again
    same, changed = held(list(candidates), list(suspected)) if candidates or recent else ((), ())
    found.changed_at_start = sorted(
        name for real, name in early.items() if real in same and real in candidates
    )
    found.held_at = {real: found_at[real] for real in same if real in found_at and real not in suspected}
    for real in [*same, *again.keys() & set(changed)]:
        candidates.pop(real, None)
    found.changed_code = sorted(suspected[real] for real in changed if real in suspected)
    for real, (path, stamp) in candidates.items():
        source = hub_source(path) or hub_source(real)
        if source is not None:
            found.hubs.setdefault(source, {})[path] = stamp
        elif places.in_a_run(real) or places.in_a_run(path):
            found.of_runs[path] = stamp
        elif not places.is_installed_code(real):
            found.files[path] = stamp
    return found


def _names(path: str, moved: Mapping[str, str], folders: dict[str, str]) -> tuple[str, str]:
    """The path as it was opened, and the real one, both where the user has them.

    `folders` keeps the real paths of folders: to ask the system for each of 50,000 files in one of them took a second.
    """
    name = os.path.normpath(path)
    folder, file = os.path.split(name)
    if folder not in folders:
        folders[folder] = os.path.realpath(folder)
    real = os.path.join(folders[folder], file)  # noqa: PTH118
    if os.path.islink(real):  # noqa: PTH114
        real = os.path.realpath(real)
    return _moved(name, moved), _moved(real, moved)


def _moved(path: str, moved: Mapping[str, str]) -> str:
    for here, there in moved.items():
        if path.startswith(here.rstrip(os.sep) + os.sep):
            return there.rstrip(os.sep) + path[len(here.rstrip(os.sep)) :]
    return path


def _stamp(path: str) -> Stamp | None:
    try:
        return stamp_of(os.stat(path))  # noqa: PTH116 (50,000 of them)
    except OSError:
        return None


def has_changed(path: str, stamp: Stamp) -> bool:
    """Whether the file is another one, or has another content, than when it was first opened."""
    now = _stamp(path)
    return now is None or (now.size, now.mtime_ns, now.inode) != (stamp.size, stamp.mtime_ns, stamp.inode)


def native_readers() -> list[str]:
    """Imported libraries that open files by themselves."""
    return [name for name in NATIVE_READERS if name in sys.modules]


def watched(recorder: Recorder, start_file: bool) -> tuple[list[str], list[str]]:
    """What was watched, and what could not be, in sentences for ``data.json``.

    Parameters
    ----------
    start_file : bool
        Whether this environment has the file that lets Python children be watched.
    """
    since = "from the interpreter's start" if recorder.from_start else "since the run began"
    yes = [f"files that Python opens, in the job's process, {since}"]
    no = []
    forked = [child for child in recorder.children if child.role == "forked"]
    pythons = [child for child in recorder.children if child.role == "python"]
    if forked:
        yes.append(f"the same in {len(forked)} processes that were forked from it")
    ranks = len({child.role for child in recorder.children} - {"forked", "python"})
    if ranks:
        yes.append(f"the same in {ranks} other ranks of the run")
    if pythons:
        yes.append(f"the same in {len(pythons)} Python programs that it started")
    if forked or pythons:
        count = len(forked) + len(pythons)
        no.append(
            f"in {count} processes of the job's: generators without a seed, variables, what asks the system"
        )
    if sys.platform == "linux":
        yes.append("files that native code has open or mapped when the job ends")
    if not recorder.from_start:
        no.append(
            "files that the script read before the run began: name the mode on the command line (+repro=strict)"
        )
    others = {name: inherits for name, inherits in recorder.programs.items() if not _is_python(name)}
    missed = [
        name for name, tells in recorder.programs.items() if _is_python(name) and not (tells and pythons)
    ]
    if missed:
        why = (
            "they did not sign in (started without the run's environment, or with -I or -S)"
            if start_file
            else "repro_hydra_inputs.pth is not in site-packages: install repro-hydra again"
        )
        no.append(f"Python programs: {', '.join(sorted(missed))}: {why}")
    if others:
        no.append(f"other programs: {', '.join(sorted(others))}")
    readers = native_readers()
    known = f" (imported that can: {', '.join(readers)})" if readers else ""
    no.append(f"files that native code opens without Python and closes before the job ends{known}")
    foreign = sorted(name for name in recorder.libraries if _is_foreign(name))
    if foreign:
        no.append(f"libraries that were loaded by ctypes: {', '.join(foreign)}")
    if recorder.peers:
        no.append(f"what came from the network: {', '.join(sorted(recorder.peers))}")
    if recorder.pipes:
        no.append(f"what came through pipes: {', '.join(sorted(recorder.pipes))}")
    if recorder.folders:
        count = sum(recorder.folders.values())
        no.append(f"{count} more files, in {len(recorder.folders)} folders, which were too many to keep")
    no.append(NO_FILES)
    return yes, no


def _is_python(name: str) -> bool:
    """Whether it is the Python of this environment, which reads the start-up file."""
    place = name if os.sep in name else shutil.which(name) or name
    file = os.path.basename(place)  # noqa: PTH119
    here = os.path.dirname(sys.executable)  # noqa: PTH120
    return file.startswith("python") and os.path.dirname(os.path.abspath(place)) == here  # noqa: PTH100, PTH120


def _is_foreign(name: str) -> bool:
    """A library of the user's; one without a folder is the system's."""
    return (
        os.sep in name
        and not name.startswith(("/usr/", "/lib", sys.prefix, sys.base_prefix))
        and ("site-packages" not in name)
    )
