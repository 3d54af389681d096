"""What of a work tree is captured: each change and each untracked file weighed, and what is left out named."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence

from repro_hydra.code.admit import is_environment_file, refusal
from repro_hydra.code.git import Git, join, shown
from repro_hydra.code.status import Change
from repro_hydra.code.untracked import find_untracked

MAX_FILES_IN_A_FOLDER = 10_000
"""An untracked folder with more files is data; it is named as a whole."""
_NAMED_ONE_BY_ONE = 10
"""Of the files in one untracked folder that may not be captured; more are named together."""


class Weighing:
    """Decides path by path.

    Attributes
    ----------
    add, remove, reset : list
        How each path gets into the tree: as the work tree has it, not at all, as HEAD has it.
    refused : dict
        What is not captured, and why.
    """

    def __init__(self, git: Git, top: bytes, max_file_bytes: int, max_patch_bytes: int) -> None:
        self._git = git
        self._top = top
        self._max_file_bytes, self._max_patch_bytes = max_file_bytes, max_patch_bytes
        self.add: list[bytes] = []
        self.remove: list[bytes] = []
        self.reset: list[Change] = []
        self.refused: dict[bytes, str] = {}

    @property
    def changes_the_tree(self) -> bool:
        return bool(self.add or self.remove or self.reset)

    def changes(self, changes: Sequence[Change]) -> set[bytes]:
        """Decide for each tracked path how its state in the work tree gets into the tree.

        Returns the paths that differ and must not be captured.
        """
        refused: set[bytes] = set()
        for change in changes:
            absolute = join(self._top, change.path)
            if change.is_submodule and change.worktree != "D":
                if "C" in change.submodule:
                    self.add.append(change.path)
            elif change.worktree == "." and not change.in_index:
                continue  # its deletion is staged; a file that is there all the same is listed as untracked
            elif change.worktree == "D" or not _is_file(absolute):
                self.remove.append(change.path)
            elif reason := refusal(change.path, absolute, self._max_file_bytes):
                self.refused[change.path] = reason
                self.reset.append(change)
                refused.add(change.path)
            elif change.worktree != ".":
                self.add.append(change.path)
        return refused

    def untracked(self, entries: Sequence[bytes], excluded: Sequence[bytes]) -> set[bytes]:
        """Take the untracked files that fit, the smallest folders first; returns the paths taken."""
        found = find_untracked(self._git, self._top, entries, excluded)
        self.refused.update(found.not_captured)
        taken: set[bytes] = set()
        room = self._max_patch_bytes
        for entry, files in sorted(found.files.items(), key=lambda item: (sum(item[1].values()), item[0])):
            small = {path: size for path, size in files.items() if size <= self._max_file_bytes}
            if len(files) > MAX_FILES_IN_A_FOLDER:
                self.refused[entry] = (
                    f"has {len(files):,} files, more than the {MAX_FILES_IN_A_FOLDER:,} of a program"
                )
                continue
            if sum(small.values()) > room:
                self.refused[entry] = (
                    f"has {sum(files.values()):,} bytes, and all untracked files together more than "
                    f"code.max_patch_bytes={self._max_patch_bytes:,}"
                )
                continue
            room -= sum(small.values())
            refused = {
                path: reason
                for path in files
                if (reason := refusal(path, join(self._top, path), self._max_file_bytes))
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


def _is_file(path: bytes) -> bool:
    """Whether a file or a link of any kind is there, also one that leads nowhere."""
    try:
        return not stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False
