"""`inspect_code`: the state of the code, read without writing anything into the repository."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import blake3
import msgspec

from repro_hydra.code import findings as found_that
from repro_hydra.code.admit import is_environment_file, refusal
from repro_hydra.code.facts import FactsQuery, Location, NoRepositoryError, locate
from repro_hydra.code.git import GitError, GitUnavailableError, join, shown
from repro_hydra.code.scratch import IndexListing, Scratch
from repro_hydra.code.state import CodeState
from repro_hydra.code.status import STATUS_COMMAND, Change, parse_status
from repro_hydra.code.untracked import find_untracked
from repro_hydra.record.code import CodeRecord, PatchFile, Submodule
from repro_hydra.record.schema import Finding

MAX_FILES_IN_A_FOLDER = 10_000
"""An untracked folder with more files is data; it is named as a whole."""
_NAMED_ONE_BY_ONE = 10
"""Of the files in one untracked folder that may not be captured; more are named together."""


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
    add: list[bytes] = field(default_factory=list)
    remove: list[bytes] = field(default_factory=list)
    reset: list[Change] = field(default_factory=list)
    refused: dict[bytes, str] = field(default_factory=dict)
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

        tracked_refused = self._weigh_changes(status.changes)
        excluded = list(_below(self.location.top, [*exclude, Path(sys.prefix), self.scratch.folder]))
        untracked = self._weigh_untracked(status.untracked, excluded)
        facts = query.facts()
        base = facts.tree or self.scratch.empty_tree()
        self.scratch.stage(self.add, self.remove, self.reset)
        tree = self.scratch.write_tree() if self.add or self.remove or self.reset or status.changes else base
        patch, differing = self.scratch.diff(base, tree, self.max_patch_bytes) if tree != base else (b"", [])

        self._name_contents_of_lfs(differing)

        untracked_files = sorted(({*differing} & untracked) | (self.refused.keys() - tracked_refused))
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
        record = self._name_what_is_missing(record, patch, differing)
        if script is not None:
            self._check_script(script, listing, untracked)
        return CodeState(
            record,
            patch=patch or b"",
            findings=tuple(self.findings),
            top=self.location.top,
            base_tree=base,
            pack=self.scratch.pack() if tree != base else b"",
            epoch_s=facts.epoch_s,
        )

    def _weigh_changes(self, changes: Sequence[Change]) -> set[bytes]:
        """Decide for each tracked path how its state in the work tree gets into the tree.

        Returns the paths that differ and must not be captured.
        """
        refused: set[bytes] = set()
        for change in changes:
            absolute = join(self.top, change.path)
            if change.is_submodule and change.worktree != "D":
                if "C" in change.submodule:
                    self.add.append(change.path)
            elif change.worktree == "." and not change.in_index:
                continue  # its deletion is staged; a file that is there all the same is listed as untracked
            elif change.worktree == "D" or not _is_file(absolute):
                self.remove.append(change.path)
            elif reason := refusal(change.path, absolute, self.max_file_bytes):
                self.refused[change.path] = reason
                self.reset.append(change)
                refused.add(change.path)
            elif change.worktree != ".":
                self.add.append(change.path)
        return refused

    def _weigh_untracked(self, entries: Sequence[bytes], excluded: Sequence[bytes]) -> set[bytes]:
        """Take the untracked files that fit, the smallest folders first; returns the paths taken."""
        found = find_untracked(self.scratch.git, self.top, entries, excluded)
        self.refused.update(found.not_captured)
        taken: set[bytes] = set()
        room = self.max_patch_bytes
        for entry, files in sorted(found.files.items(), key=lambda item: (sum(item[1].values()), item[0])):
            small = {path: size for path, size in files.items() if size <= self.max_file_bytes}
            if len(files) > MAX_FILES_IN_A_FOLDER:
                self.refused[entry] = (
                    f"has {len(files):,} files, more than the {MAX_FILES_IN_A_FOLDER:,} of a program"
                )
                continue
            if sum(small.values()) > room:
                self.refused[entry] = (
                    f"has {sum(files.values()):,} bytes, and all untracked files together more than "
                    f"code.max_patch_bytes={self.max_patch_bytes:,}"
                )
                continue
            room -= sum(small.values())
            refused = {
                path: reason
                for path in files
                if (reason := refusal(path, join(self.top, path), self.max_file_bytes))
            }
            taken.update(path for path in files if path not in refused)
            self._name_refused(entry, refused)
        self.add.extend(sorted(taken))
        return taken

    def _name_refused(self, entry: bytes, refused: Mapping[bytes, str]) -> None:
        serious = {path: reason for path, reason in refused.items() if not is_environment_file(path)}
        if len(serious) <= _NAMED_ONE_BY_ONE:
            self.refused.update(refused)
            return
        first, reason = next(iter(sorted(serious.items())))
        self.refused.update({path: refused[path] for path in refused.keys() - serious.keys()})
        self.refused[entry] = (
            f"has {len(serious):,} files that were left out; the first, {shown(first)}, {reason}"
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
        self, record: CodeRecord, patch: bytes | None, differing: Sequence[bytes]
    ) -> CodeRecord:
        not_captured = {shown(path): reason for path, reason in sorted(self.refused.items())}
        for path, reason in sorted(self.refused.items()):
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

    def _name_contents_of_lfs(self, differing: Sequence[bytes]) -> None:
        """Of what was edited or is new, what the snapshot holds by a pointer alone."""
        present = [path for path in differing if path not in self.remove]
        if not present:
            return
        names = b"".join(path + b"\0" for path in present)
        answers = self.scratch.git.run("check-attr", "-z", "--stdin", "filter", data=names).split(b"\0")
        kept = [path for path, value in zip(answers[::3], answers[2::3], strict=False) if value == b"lfs"]
        if kept and self.scratch.git.ask("config", "--get-regexp", r"^filter\.lfs\.(clean|process)$")[0] == 0:
            self.findings.append(found_that.contents_of_lfs([shown(path) for path in kept]))

    def _check_script(self, script: Path, listing: IndexListing, untracked: set[bytes]) -> None:
        resolved = script.resolve()
        inside = list(_below(self.location.top, [resolved]))
        if Path(sys.prefix).resolve() in resolved.parents:
            return  # a console script: part of the environment, as the package that it calls
        if not inside:
            self.findings.append(found_that.script_outside(resolved, self.location.top))
            return
        path = inside[0]
        if not listing.tracks(path) and path not in untracked and path not in self.refused:
            self.findings.append(found_that.script_ignored(shown(path)))


def _below(top: Path, paths: Sequence[Path]) -> Iterator[bytes]:
    """Those of `paths` that lie strictly below `top`, relative to it."""
    for path in paths:
        resolved = path.resolve()
        if top in resolved.parents:
            yield os.fsencode(resolved.relative_to(top))


def _is_file(path: bytes) -> bool:
    """Whether a file or a link of any kind is there, also one that leads nowhere."""
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _output(finished: tuple[int, bytes, str], command: str) -> bytes:
    status, output, said = finished
    if status != 0:
        raise GitError([command], status, said)
    return output
