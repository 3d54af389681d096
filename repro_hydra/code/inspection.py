"""`inspect_code`: the state of the code, read without writing anything into the repository."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import blake3
import msgspec

from repro_hydra.code import findings as found_that
from repro_hydra.code.admit import is_environment_file
from repro_hydra.code.facts import FactsQuery, Location, NoRepositoryError, locate
from repro_hydra.code.git import GitError, GitUnavailableError, join, shown
from repro_hydra.code.scratch import IndexListing, Scratch
from repro_hydra.code.state import CodeState
from repro_hydra.code.status import STATUS_COMMAND, Change, parse_status
from repro_hydra.code.weighing import Weighing
from repro_hydra.record.code import CodeRecord, PatchFile, Submodule
from repro_hydra.record.schema import Finding


def inspect_code(
    start: Path,
    *,
    max_file_bytes: int,
    max_patch_bytes: int,
    exclude: Sequence[Path] = (),
    script: Path | None = None,
    imported: Mapping[Path, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> CodeState:
    """What a run that starts now would run: commit, differences, and what could not be captured.

    Parameters
    ----------
    start : Path
        A file or folder in the repository; the started script, where there is one.
    max_file_bytes : int
        A changed or untracked file that is larger is named, not captured.
    max_patch_bytes : int
        The same for the patch as a whole, and for all untracked files together.
    exclude : sequence of Path
        Folders whose untracked files are no code: the run's own.
    script : Path, optional
        The started script, `start` by default if that is a file: it must lie in the repository.
    imported : mapping, optional
        Other folders that modules are imported from, with what leads there (``PYTHONPATH``).
    environ : mapping, optional
        The variables for git; the process's own by default.

    Returns
    -------
    CodeState
        Never an exception: what git cannot answer is a finding, and None in the record.
    """
    from repro_hydra.code.elsewhere import look_elsewhere  # which asks this function in its turn

    variables = os.environ if environ is None else environ

    def look(folder: Path) -> CodeState:
        return inspect_code(
            folder,
            max_file_bytes=max_file_bytes,
            max_patch_bytes=max_patch_bytes,
            exclude=exclude,
            environ=variables,
        )

    if script is None and start.is_file():
        script = start
    state = _inspect(start, max_file_bytes, max_patch_bytes, exclude, script, variables)
    return look_elsewhere(state, start, imported or {}, look, variables)


def _inspect(
    start: Path,
    max_file_bytes: int,
    max_patch_bytes: int,
    exclude: Sequence[Path],
    script: Path | None,
    environ: Mapping[str, str],
) -> CodeState:
    try:
        location = locate(_existing_folder(start), environ)
    except NoRepositoryError:
        return CodeState(CodeRecord(), findings=(found_that.no_repository(start),))
    except GitError as error:
        return CodeState(CodeRecord(), findings=(found_that.git_refused(start, error.said),))
    except GitUnavailableError as error:
        return CodeState(CodeRecord(), findings=(found_that.git_unavailable(str(error)),))
    try:
        with Scratch(location, environ) as scratch:
            return _Inspection(location, scratch, max_file_bytes, max_patch_bytes).run(exclude, script)
    except (GitError, GitUnavailableError, OSError) as error:
        said = error.said if isinstance(error, GitError) and error.said else str(error)
        record = CodeRecord(repository=str(location.top), commit=location.commit)
        return CodeState(record, findings=(found_that.git_refused(start, said),), top=location.top)


def _existing_folder(path: Path) -> Path:
    path = path.absolute()
    while not path.is_dir() and path != path.parent:
        path = path.parent
    return path


@dataclass(slots=True)
class _Inspection:
    location: Location
    scratch: Scratch
    max_file_bytes: int
    max_patch_bytes: int
    findings: list[Finding] = field(default_factory=list)

    @property
    def top(self) -> bytes:
        return os.fsencode(self.location.top)

    def run(self, exclude: Sequence[Path], script: Path | None) -> CodeState:
        git, commit = self.scratch.git, self.location.commit
        query = FactsQuery(git, commit)
        listing_process = git.start("ls-files", "-v", "-s", "-z")
        status_process = git.start(*STATUS_COMMAND)
        listing = IndexListing(_output(git.finish(listing_process), "ls-files"))
        status_output = _output(git.finish(status_process), "status")
        if self.scratch.show_hidden(listing.hidden(), self.top):
            status_output = git.run(*STATUS_COMMAND)
        status = parse_status(status_output)

        weighed = Weighing(git, self.top, self.max_file_bytes, self.max_patch_bytes)
        tracked_refused = weighed.changes(status.changes)
        excluded = list(_below(self.location.top, [*exclude, Path(sys.prefix), self.scratch.folder]))
        untracked = weighed.untracked(status.untracked, excluded)
        facts = query.facts()
        base = facts.tree or self.scratch.empty_tree()
        self.scratch.stage(weighed.add, weighed.remove, weighed.reset)
        tree = self.scratch.write_tree() if weighed.changes_the_tree or status.changes else base
        patch, differing = self.scratch.diff(base, tree, self.max_patch_bytes) if tree != base else (b"", [])

        self._name_contents_of_lfs(path for path in differing if path not in weighed.remove)

        untracked_files = sorted(({*differing} & untracked) | (weighed.refused.keys() - tracked_refused))
        dirty_files = sorted(({*differing} - untracked) | tracked_refused)
        submodules = self._submodules(listing, status.changes)
        record = CodeRecord(
            repository=str(self.location.top),
            commit=commit,
            commit_message=facts.message,
            commit_date=facts.date,
            branch=status.branch,
            remote=query.remote(status.branch),
            on_remote=facts.on_remote,
            dirty=bool(dirty_files or untracked_files or any(module.dirty for module in submodules)),
            dirty_files=[shown(path) for path in dirty_files],
            untracked_files=[shown(path) for path in untracked_files],
            submodules=submodules,
            tree=tree,
        )
        record = self._name_what_is_missing(record, patch, differing, weighed.refused)
        if script is not None:
            self._check_script(script, listing, untracked | weighed.refused.keys())
        return CodeState(
            record,
            patch=patch or b"",
            findings=tuple(self.findings),
            top=self.location.top,
            base_tree=base,
            pack=self.scratch.pack() if tree != base else b"",
            epoch_s=facts.epoch_s,
        )

    def _submodules(self, listing: IndexListing, changes: Sequence[Change]) -> list[Submodule]:
        changed = {change.path: change.submodule for change in changes if change.is_submodule}
        result = []
        for path, commit in sorted(listing.submodules().items()):
            absolute = join(self.top, path)
            initialised = os.path.lexists(join(absolute, b".git"))
            state = changed.get(path, "S...")
            if initialised and "C" in state:
                folder = self.scratch.git.in_folder(Path(os.fsdecode(absolute)))
                commit = folder.run("rev-parse", "HEAD").decode().strip()
            dirty = bool(set("MU") & set(state)) if initialised else None
            result.append(Submodule(path=shown(path), commit=commit, dirty=dirty))
        return result

    def _name_what_is_missing(
        self,
        record: CodeRecord,
        patch: bytes | None,
        differing: Sequence[bytes],
        refused: Mapping[bytes, str],
    ) -> CodeRecord:
        not_captured = {shown(path): reason for path, reason in sorted(refused.items())}
        for path, reason in sorted(refused.items()):
            harmless = is_environment_file(path)
            self.findings.append(found_that.not_captured(shown(path), reason, harmless=harmless))
        file = None
        if patch is None:
            not_captured["code.patch"] = f"would have more than code.max_patch_bytes={self.max_patch_bytes:,}"
            self.findings.append(found_that.patch_too_large(self.max_patch_bytes))
        elif patch:
            file = PatchFile(blake3=blake3.blake3(patch).hexdigest(), size_bytes=len(patch))
        if record.commit is None:
            self.findings.append(found_that.no_commit(self.location.top))
        elif differing:
            self.findings.append(found_that.dirty([shown(path) for path in differing], record.commit))
        return msgspec.structs.replace(record, not_captured=not_captured, patch=file)

    def _name_contents_of_lfs(self, present: Iterable[bytes]) -> None:
        """Of what was edited or is new, what the snapshot holds by a pointer alone."""
        names = b"".join(path + b"\0" for path in present)
        if not names:
            return
        answers = self.scratch.git.run("check-attr", "-z", "--stdin", "filter", data=names).split(b"\0")
        kept = [path for path, value in zip(answers[::3], answers[2::3], strict=False) if value == b"lfs"]
        if kept and self.scratch.git.ask("config", "--get-regexp", r"^filter\.lfs\.(clean|process)$")[0] == 0:
            self.findings.append(found_that.contents_of_lfs([shown(path) for path in kept]))

    def _check_script(self, script: Path, listing: IndexListing, seen: Container[bytes]) -> None:
        """It is part of the code that is captured, or was weighed at least (`seen`)."""
        resolved = script.resolve()
        inside = list(_below(self.location.top, [resolved]))
        if Path(sys.prefix).resolve() in resolved.parents:
            return  # a console script: part of the environment, as the package that it calls
        if not inside:
            self.findings.append(found_that.script_outside(resolved, self.location.top))
            return
        path = inside[0]
        if not listing.tracks(path) and path not in seen:
            self.findings.append(found_that.script_ignored(shown(path)))


def _below(top: Path, paths: Sequence[Path]) -> Iterator[bytes]:
    """Those of `paths` that lie strictly below `top`, relative to it."""
    for path in paths:
        resolved = path.resolve()
        if top in resolved.parents:
            yield os.fsencode(resolved.relative_to(top))


def _output(finished: tuple[int, bytes, str], command: str) -> bytes:
    status, output, said = finished
    if status != 0:
        raise GitError([command], status, said)
    return output
