"""A copy of the index and an object store of its own, in a temporary folder: what a capture writes, it writes here.

The user's index, objects and refs are only read. A capture that is killed leaves a folder in the system's
temporary directory and nothing else.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from repro_hydra.code.facts import Location
from repro_hydra.code.git import Git, GitError, join
from repro_hydra.code.status import Change
from repro_hydra.temporary import TemporaryFolder

_DIFF = (
    "diff-tree", "-r", "-p", "--binary", "--full-index", "--find-renames", "--no-color", "--no-ext-diff",
    "--no-textconv", "--no-relative", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--inter-hunk-context=0",
    "--diff-algorithm=myers", "--indent-heuristic", "--ignore-submodules=none", "--submodule=short",
)  # fmt: skip
"""What ``git diff --binary --full-index`` prints, whatever the user's diff settings are."""


class IndexListing(msgspec.Struct, frozen=True):
    """The entries of the index: tag, mode, object and path of each (``ls-files -v -s -z``)."""

    raw: bytes

    def tracks(self, path: bytes) -> bool:
        return b"\t" + path + b"\0" in self.raw

    def hidden(self) -> list[tuple[bytes, bytes]]:
        """Entries that the user told git not to look at, tag and path.

        A lower-case tag is assume-unchanged, ``S`` skip-worktree: the file may differ, and git would not say so.
        """
        return re.findall(rb"(?:\A|(?<=\0))([a-zS]) [^\t]*\t([^\0]*)\0", self.raw)

    def submodules(self) -> dict[bytes, str]:
        entries = re.findall(rb"(?:\A|(?<=\0)). 160000 ([0-9a-f]+) \d\t([^\0]*)\0", self.raw)
        return {path: commit.decode() for commit, path in entries}


class Scratch:
    """A context manager; `git` writes nowhere but here."""

    def __init__(self, location: Location, environ: Mapping[str, str]) -> None:
        self._location = location
        self._temporary = TemporaryFolder("code")
        self.folder = self._temporary.path
        self._objects = self.folder / "objects"
        self._objects.mkdir()
        index = self.folder / "index"
        if location.index.exists():
            shutil.copyfile(location.index, index)
            # An entry as young as its index is compared by content ("racy git"): the copy must not look younger.
            state = location.index.stat()
            os.utime(index, ns=(state.st_atime_ns, state.st_mtime_ns))
        self.git = Git(
            location.top,
            environ,
            GIT_INDEX_FILE=str(index),
            GIT_OBJECT_DIRECTORY=str(self._objects),
            GIT_ALTERNATE_OBJECT_DIRECTORIES=_quoted(location.objects),
        )

    def __enter__(self) -> Scratch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.git.close()
        self._temporary.remove()

    def show_hidden(self, entries: Sequence[tuple[bytes, bytes]], top: bytes) -> bool:
        """Make git look at files it was told to overlook; False where there is none to look at."""
        assumed = [path for tag, path in entries if tag.islower()]
        # One that is absent is the rule of a sparse checkout, and stays as the index has it.
        skipped = [path for tag, path in entries if tag in b"Ss" and os.path.lexists(join(top, path))]
        for option, paths in (("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)):
            if paths:
                self.git.run("update-index", option, "-z", "--stdin", data=_lines(paths))
        return bool(assumed or skipped)

    def stage(self, add: Sequence[bytes], remove: Sequence[bytes], reset: Sequence[Change]) -> None:
        """Bring the index to what is captured: `add` from the work tree, `reset` to HEAD."""
        nothing = b"0 " + b"0" * len(self._location.commit or "0" * 40) + b"\t"
        entries = [nothing + path for path in remove]
        for change in reset:
            entries.append(nothing + change.path)  # first, so that no stage of a conflict is left
            if change.in_head:
                entries.append(change.head_mode + b" " + change.head_object + b"\t" + change.path)
        if entries:
            self.git.run("update-index", "--replace", "-z", "--index-info", data=_lines(entries))
        if add:
            self.git.run("update-index", "--add", "--replace", "-z", "--stdin", data=_lines(add))

    def write_tree(self) -> str:
        return self.git.run("write-tree", "--missing-ok").decode().strip()

    def empty_tree(self) -> str:
        return self.git.run("hash-object", "-w", "-t", "tree", "--stdin", data=b"").decode().strip()

    def diff(self, base: str, tree: str, limit: int) -> tuple[bytes | None, list[bytes]]:
        """The patch from `base` to `tree` (None above `limit` bytes), and the paths that differ."""
        options = ("-r", "-z", "--name-only", "--no-renames", "--ignore-submodules=none")
        names = self.git.start("diff-tree", *options, base, tree)
        patch = self.git.finish_limited(self.git.start(*_DIFF, base, tree), limit)
        status, output, said = self.git.finish(names)
        if status != 0:
            raise GitError(["diff-tree"], status, said)
        return patch, output.split(b"\0")[:-1]

    def pack(self) -> bytes:
        """The objects that the repository does not have yet, as a pack."""
        names = [
            (folder.name + file.name).encode()
            for folder in sorted(self._objects.iterdir())
            if len(folder.name) == 2
            for file in sorted(folder.iterdir())
        ]
        if not names:
            return b""
        # No deltas: the pack lives for seconds, and finding them takes longer than writing the bytes.
        options = ("--stdout", "-q", "--window=0", "--threads=1", "--compression=1")
        return self.git.run("pack-objects", *options, data=b"\n".join(names) + b"\n")


def _lines(paths: Sequence[bytes]) -> bytes:
    return b"".join(path + b"\0" for path in paths)


def _quoted(path: Path) -> str:
    """A path for a list that colons divide: quoted as in C where it needs it."""
    text = str(path)
    if not re.search(r'[:"\\\n]', text):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
