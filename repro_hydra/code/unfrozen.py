"""A sweep that runs in place (``code.freeze=off``): whether its code is still what it was when it began."""

# ruff: noqa: PTH113, PTH114, PTH115 (paths are bytes here: a name need not be text)
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from repro_hydra.code.findings import changed_meanwhile
from repro_hydra.code.git import Git, join, shown
from repro_hydra.code.stats import Stat, stat_of
from repro_hydra.record.schema import Finding, Severity
from repro_hydra.record.store import write_bytes

_TRUSTED_AFTER_NS = 2_000_000_000
"""A file whose time lies less than this before the look at it may be written to again without a newer time."""

_File = tuple[bytes, str, Stat | None]
"""Path, git object, and state; None where the state could not be trusted, so the content has to be looked at."""


class CodeAtStart(msgspec.Struct, frozen=True, array_like=True):
    """The files of a snapshot as they lay in the work tree."""

    top: bytes
    files: list[_File]

    def save(self, file: Path) -> None:
        write_bytes(file, msgspec.msgpack.encode(self))

    @classmethod
    def load(cls, file: Path) -> CodeAtStart:
        """Raises OSError or `msgspec.MsgspecError` where it is not there, or not whole."""
        return msgspec.msgpack.decode(file.read_bytes(), type=cls)

    def changed(self, *, environ: Mapping[str, str]) -> list[bytes]:
        """The paths whose content is another one now. Git is asked only about files that were touched.

        Raises
        ------
        GitError
        GitUnavailableError
        """
        touched = [
            (path, object_id)
            for path, object_id, state in self.files
            if state is None or stat_of(join(self.top, path)) != state
        ]
        if not touched:
            return []
        git = Git(Path(os.fsdecode(self.top)), environ)
        now = self._objects_of(git, [path for path, _ in touched])
        return [path for path, object_id in touched if now.get(path) != object_id]

    def _objects_of(self, git: Git, paths: Sequence[bytes]) -> dict[bytes, str]:
        """The objects that git would store these files as, by its filters; without those that are gone."""
        found: dict[bytes, str] = {}
        plain = []
        for path in paths:
            absolute = join(self.top, path)
            if os.path.islink(absolute):
                found[path] = git.run("hash-object", "--stdin", data=os.readlink(absolute)).decode().strip()
            elif os.path.isfile(absolute) and b"\n" not in path:
                plain.append(path)
            elif os.path.isfile(absolute):
                found[path] = git.run("hash-object", "--", os.fsdecode(path)).decode().strip()
        if plain:
            lines = b"".join(b"./" + path + b"\n" for path in plain)  # a leading quote would be taken for one
            output = git.run("hash-object", "--stdin-paths", data=lines)
            found.update(zip(plain, output.decode().split(), strict=True))
        return found


def code_at_start(top: Path, tree: str, began_ns: int, *, environ: Mapping[str, str]) -> CodeAtStart:
    """What the snapshot `tree` of the work tree `top` consists of.

    Parameters
    ----------
    began_ns : int
        When the snapshot was begun. A file that was written to since, or just before, is looked into by each job.

    Raises
    ------
    GitError
    GitUnavailableError
    """
    folder = os.fsencode(top)
    files: list[_File] = []
    for entry in Git(top, environ).run("ls-tree", "-r", "-z", tree).split(b"\0")[:-1]:
        about, _, path = entry.partition(b"\t")
        _, kind, object_id = about.split(b" ")
        state = stat_of(join(folder, path))
        if kind != b"blob" or state is None:  # a sparse checkout leaves files out
            continue
        trusted = max(state[2], state[3]) + _TRUSTED_AFTER_NS < began_ns
        files.append((path, object_id.decode(), state if trusted else None))
    return CodeAtStart(folder, files)


def changes_since(file: Path, severity: Severity, *, environ: Mapping[str, str]) -> list[Finding]:
    """A finding for each file that is not what it was when the sweep noted its code in `file`.

    Raises
    ------
    OSError
    msgspec.MsgspecError
        The note is not there, or not whole.
    GitError
    GitUnavailableError
    """
    changed = CodeAtStart.load(file).changed(environ=environ)
    return [changed_meanwhile(shown(path), severity) for path in changed]
