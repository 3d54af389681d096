"""This project: its code and what could not be captured of it, its snapshots, its data, its records, its disk."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro_hydra.code import CodeState, inspect_code
from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.code.snapshot import REF_PREFIX
from repro_hydra.config import CodeConf
from repro_hydra.data import DataError, Registry, find_project
from repro_hydra.doctor.advice import Advice, advice_from
from repro_hydra.environment.distributions import local_path
from repro_hydra.environment.locked import locked_differences, open_lock, remedy
from repro_hydra.record.environment import Distribution
from repro_hydra.record.find import walk
from repro_hydra.record.lock import LOCK_NAME, project_lock
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.places import DEFAULT_PLACES, known_places, project_of

_LITTLE_DISK_BYTES = 1 << 30
_NO_DISK_BYTES = 100 << 20


def look_at_code(folder: Path) -> CodeState:
    """What a run started in `folder` would capture."""
    options = CodeConf()
    return inspect_code(
        folder,
        max_file_bytes=options.max_file_bytes,
        max_patch_bytes=options.max_patch_bytes,
        exclude=[folder / name for name in DEFAULT_PLACES],
    )


def about_code(state: CodeState, folder: Path, environ: Mapping[str, str]) -> Iterator[Advice]:
    """What of the code could not be had again."""
    commit = "git add -A && git commit -m 'first commit'"
    remedies = {
        "no-git-repository": f"git init {shlex.quote(str(folder))} && {commit}",
        "no-commit": commit,
        "dirty": "git add -A && git commit",
    }
    for finding in state.findings:
        yield advice_from(finding, remedies.get(finding.id))
    if state.top is None or state.record.commit is None:
        return
    git = Git(state.top, environ)
    try:
        yield from _about_repository(git, state)
        yield from _about_snapshots(git)
        yield from _about_ignored(git, state.top, folder)
    except (GitError, GitUnavailableError) as error:
        yield Advice(
            id="git-unavailable",
            severity="blocks",
            message=f"{state.top}: {error}",
            remedy=f"git -C {shlex.quote(str(state.top))} fsck",
        )


def _about_repository(git: Git, state: CodeState) -> Iterator[Advice]:
    if git.run("rev-parse", "--is-shallow-repository").strip() == b"true":
        yield Advice(
            id="shallow-clone",
            severity="harmless",
            message="the repository is a shallow clone: earlier commits, which records name, are not in it",
            remedy="git fetch --unshallow",
        )
    if state.record.remote is None:
        yield Advice(
            id="no-remote",
            severity="harmless",
            message="the repository has no remote: its commits and snapshots are on this disk alone",
            remedy="git remote add origin URL && git push -u origin HEAD",
        )
    elif state.record.on_remote is False:
        yield Advice(
            id="commit-not-on-remote",
            severity="harmless",
            message=f"commit {(state.record.commit or '')[:12]} is on no remote: nobody else has it",
            remedy="git push",
        )


def _about_snapshots(git: Git) -> Iterator[Advice]:
    refs = git.run("for-each-ref", "--format=%(refname)", REF_PREFIX).splitlines()
    mirrored = [line for line in _config(git, r"^remote\..*\.mirror$") if line.endswith("\ntrue")]
    if not refs:
        return
    size = _disk_usage(git)
    shown = "" if size is None else f", {size / 1e6:.1f} MB that no branch holds"
    yield Advice(
        id="snapshots",
        severity="harmless",
        message=f"{len(refs)} snapshot{'' if len(refs) == 1 else 's'} of code below {REF_PREFIX}{shown}. "
        "`git push --mirror` would publish them, uncommitted changes and untracked files included; a clone or an "
        "ordinary push does not take them along",
        remedy="git push --all && git push --tags",
    )
    for line in mirrored:
        name = line.partition("\n")[0].removeprefix("remote.").removesuffix(".mirror")
        yield Advice(
            id=f"remote-mirrors:{name}",
            severity="harmless",
            message=f"every push to {name!r} is a mirror, so it publishes the snapshots of code",
            remedy=f"git config --unset remote.{shlex.quote(name)}.mirror",
        )


def _config(git: Git, pattern: str) -> list[str]:
    status, output, _ = git.ask("config", "-z", "--get-regexp", pattern)
    return output.decode(errors="replace").split("\0") if status == 0 else []


def _disk_usage(git: Git) -> int | None:
    status, output, _ = git.ask(
        "rev-list",
        "--objects",
        "--disk-usage",
        f"--glob={REF_PREFIX}*",
        "--not",
        "--branches",
        "--tags",
        "--remotes",
    )
    return (
        int(output) if status == 0 and output.strip().isdigit() else None
    )  # git before 2.31 has no such option


def _about_ignored(git: Git, top: Path, folder: Path) -> Iterator[Advice]:
    """Environments and outputs in the repository that git would take for its own."""
    for place in dict.fromkeys((top, folder)):
        environments = [child for child in _subfolders(place) if (child / "pyvenv.cfg").is_file()]
        outputs = [place / name for name in DEFAULT_PLACES if (place / name).is_dir()]
        for what, children in (("environment", environments), ("outputs", outputs)):
            for child in children:
                relative = os.path.relpath(child, top)
                # What lies in it: a folder that is kept for its README may ignore all the rest.
                if git.ask("check-ignore", "-q", f"{relative}/{_LIES_IN_IT[what]}")[0] == 1:
                    yield Advice(
                        id=f"not-ignored:{relative}",
                        severity="harmless",
                        message=f"{relative}: {_NOT_IGNORED[what]}",
                        remedy=f"echo {shlex.quote(f'/{relative}/')} >> {shlex.quote(str(top / '.gitignore'))}",
                    )


_LIES_IN_IT = {"environment": "pyvenv.cfg", "outputs": "2026-01-01"}
_NOT_IGNORED = {
    "environment": "a virtual environment that git does not ignore; each capture has to look through it, and one "
    "`git add .` commits it",
    "outputs": "what runs write, and git does not ignore it; one `git add .` commits it",
}


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []


def about_packages(folder: Path, installed: Sequence[Distribution]) -> Iterator[Advice]:
    """Packages whose code no version names: editable, with changes of their own."""
    project = project_of(folder).resolve()
    for item in installed:
        place = local_path(item.url)
        if not item.editable or not item.dirty or place is None or place.resolve() == project:
            continue
        yield Advice(
            id=f"editable-dirty:{item.name}",
            severity="may_change_bits",
            message=f"{item.name} is installed from {place}, and its files differ from its commit "
            f"{(item.commit or 'unknown')[:12]}: no record of a run here holds them",
            remedy=f"git -C {shlex.quote(str(place))} commit -a",
        )


def about_lock(folder: Path, installed: Sequence[Distribution]) -> Iterator[Advice]:
    """Whether there is something to hold this environment against, and whether it holds."""
    project = project_of(folder)
    path = project_lock(None, folder, project)
    if path is None:
        yield Advice(
            id="no-lock",
            severity="harmless",
            message=f"{project} has no {LOCK_NAME}: a run records its packages, and nothing holds it to them",
            remedy="repro-hydra env snapshot",
        )
        return
    lock, findings = open_lock(path)
    if lock is None:
        for finding in findings:
            yield advice_from(finding, f"repro-hydra env snapshot -o {shlex.quote(str(path))}")
        return
    for finding in locked_differences(lock, None, installed):
        if finding.severity != "harmless":
            yield advice_from(finding, remedy(finding, path))


@dataclass(frozen=True, slots=True)
class Registered:
    """The registry's versions, and what is wrong with it."""

    versions: int
    advice: tuple[Advice, ...]


def look_at_data(folder: Path) -> Registered:
    """The dataset versions; whether they are unchanged is `repro-hydra data verify`'s to say, which reads them."""
    project = find_project(folder)
    try:
        versions = Registry(project).read()
    except DataError as error:
        return Registered(0, (Advice(id="data-registry", severity="blocks", message=str(error)),))
    gone: dict[str, str] = {}
    for version in versions:
        if not (project / version.path).exists():  # an absolute path stays one
            gone[version.name] = version.path
    return Registered(
        len(versions),
        tuple(
            Advice(
                id=f"data-missing:{name}",
                severity="harmless",
                message=f"dataset {name!r} is registered, and {path} is not here",
                remedy=f"bring it back, then: repro-hydra data verify {shlex.quote(name)}",
            )
            for name, path in sorted(gone.items())
        ),
    )


@dataclass(frozen=True, slots=True)
class Recorded:
    """The runs of this project that are known here."""

    runs: int
    record_bytes: int
    advice: tuple[Advice, ...]


def look_at_records(folder: Path) -> Recorded:
    """Count the runs, and what their records take."""
    runs = 0
    size = 0
    damaged = []
    for located in walk(known_places(project_of(folder), cwd=folder)):
        runs += located.kind == "run"
        if located.kind == "damaged":
            damaged.append(located)
        size += _size_of(Path(located.dir, RECORD_DIR))
    advice = tuple(
        Advice(
            id=f"record-damaged:{item.dir}",
            severity="harmless",
            message=f"{item.problem or item.dir}",
            remedy=f"repro-hydra verify {shlex.quote(item.dir)}",
        )
        for item in damaged
    )
    return Recorded(runs, size, advice)


def _size_of(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118 (many files)
            except OSError:  # a run that is under way replaces its files
                continue
    return total


def about_disk(folder: Path, free_bytes: int | None) -> Iterator[Advice]:
    """Whether a run could write here."""
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Advice(
            id=f"output-not-writable:{folder}",
            severity="blocks",
            message=f"{folder} is not writable, and Hydra writes to outputs/ below it",
            remedy="hydra.run.dir=DIR hydra.sweep.dir=DIR, or chmod u+w " + shlex.quote(str(folder)),
        )
    if free_bytes is not None and free_bytes < _LITTLE_DISK_BYTES:
        yield Advice(
            id=f"disk-{'full' if free_bytes < _NO_DISK_BYTES else 'nearly-full'}",
            severity="blocks" if free_bytes < _NO_DISK_BYTES else "harmless",
            message=f"{free_bytes / 1e6:.0f} MB are free where {folder} lies",
            remedy="repro-hydra prune --dry-run, or hydra.run.dir on another disk",
        )
