"""Where the code of a run can be had: a repository here that has its snapshot or its commit, or the record's bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from repro_hydra.code.facts import Location, NoRepositoryError, locate
from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.redact import redact_url
from repro_hydra.reproduce.original import Original


class CodeMissing(Exception):
    """The code cannot be had; the text says what is missing and how to get it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeSource:
    """Where what is needed can be had."""

    location: Location | None
    """A repository here; None: the record's bundle holds everything."""
    snapshot: str | None
    """The commit with everything in it; None: `commit` and the record's patch."""
    bundle: bytes | None = None
    """What the repository lacks."""

    @property
    def top(self) -> Path | None:
        return None if self.location is None else self.location.top

    def shown(self) -> str:
        """What it is and where it comes from, for people."""
        what = f"snapshot {self.snapshot[:12]}" if self.snapshot else "its commit and code.patch"
        where = [] if self.bundle is None else ["code.bundle"]
        return f"{what} from {' and '.join([*where, *([str(self.top)] if self.top else [])])}"


def repositories(folders: Sequence[Path], environ: Mapping[str, str]) -> list[Location]:
    """The work trees that `folders` lie in, each once."""
    found: dict[Path, Location] = {}
    for folder in folders:
        if not folder.is_dir():
            continue
        try:
            location = locate(folder, environ)
        except (NoRepositoryError, GitError, GitUnavailableError):
            continue
        found.setdefault(location.top, location)
    return list(found.values())


def find_code(original: Original, here: Sequence[Location], environ: Mapping[str, str]) -> CodeSource:
    """Where the run's code can be had.

    Raises
    ------
    CodeMissing
    """
    return find_one(original.code, original.code_files, here, environ)


def find_one(
    code: CodeRecord | None, files: Mapping[str, bytes], here: Sequence[Location], environ: Mapping[str, str]
) -> CodeSource:
    """Where the code of one repository can be had; `files` are the patches and bundles of the record.

    Raises
    ------
    CodeMissing
    """
    if code is None or (code.snapshot is None and code.commit is None):
        raise CodeMissing(
            "code: the record holds no commit and no snapshot (see code.json), so there is no code to run"
        )
    for location in here:
        git = Git(location.top, environ)
        if code.snapshot is not None and _tree_of(git, code.snapshot) == code.tree is not None:
            return CodeSource(location=location, snapshot=code.snapshot)
    bundled = _from_bundle(code, files, here, environ)
    if bundled is not None:
        return bundled
    for location in here:
        git = Git(location.top, environ)
        if code.commit is not None and _tree_of(git, code.commit) is not None:
            if code.patch is None or file_name(code.patch.path) in files:
                return CodeSource(location=location, snapshot=None)
            raise CodeMissing(
                f"code: commit {code.commit[:12]} is in {location.top}, and what differed from it is not: neither "
                f"the snapshot {str(code.snapshot)[:12]} nor a code.patch that fits the record"
            )
    raise CodeMissing(_not_here(code, here))


def file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _from_bundle(
    code: CodeRecord, files: Mapping[str, bytes], here: Sequence[Location], environ: Mapping[str, str]
) -> CodeSource | None:
    """The record's bundle, and the repository here that has what it stands on."""
    data = None if code.bundle is None else files.get(file_name(code.bundle.path))
    if code.bundle is None or data is None or code.snapshot is None:
        return None
    needed = code.bundle.stands_on
    if not needed:
        return CodeSource(location=None, snapshot=code.snapshot, bundle=data)
    for location in here:
        git = Git(location.top, environ)
        if all(_tree_of(git, commit) is not None for commit in needed):
            return CodeSource(location=location, snapshot=code.snapshot, bundle=data)
    return None


def _not_here(code: CodeRecord, here: Sequence[Location]) -> str:
    searched = ", ".join(str(location.top) for location in here) or "no repository: none is here"
    wanted = f"commit {code.commit[:12]}" if code.commit else f"snapshot {str(code.snapshot)[:12]}"
    how = f"git fetch {redact_url(code.remote)}" if code.remote else "git fetch, where somebody has it"
    return (
        f"code: expected {wanted}, searched {searched}. Run this in a clone of the project that has it; {how}"
    )


def _tree_of(git: Git, commit: str) -> str | None:
    try:
        status, output, _ = git.ask("rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}")
    except GitUnavailableError:
        return None
    return output.decode().strip() if status == 0 else None


def vouching_snapshot(code: CodeRecord | None, here: Sequence[Location], environ: Mapping[str, str]) -> bool:
    """Whether a repository here keeps this very snapshot by a ref of ours: no clone and no fetch brings those."""
    if code is None or code.snapshot is None or code.tree is None:
        return False
    for location in here:
        git = Git(location.top, environ)
        status, output, _ = git.ask("rev-parse", "--verify", "--quiet", f"refs/repro/{code.tree}^{{commit}}")
        if status == 0 and output.decode().strip() == code.snapshot:
            return True
    return False
