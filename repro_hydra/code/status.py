"""What `git status --porcelain=v2 -z` says, as values."""

from __future__ import annotations

import msgspec

STATUS_COMMAND = (
    "status",
    "--porcelain=v2",
    "--branch",
    "--no-ahead-behind",
    "--no-renames",
    "--untracked-files=normal",  # a folder without a tracked file is one entry, and is not walked
    "--ignored=no",
    "--ignore-submodules=none",
    "-z",
)
_NO_MODE = b"000000"


class Change(msgspec.Struct, frozen=True):
    """A tracked path that differs between HEAD, index and work tree."""

    path: bytes
    worktree: str
    """``.`` as in the index, ``A`` added by name only, ``M`` modified, ``T`` of another type, ``D`` deleted,
    ``U`` unmerged."""
    submodule: str
    """``N...``, or ``S`` with ``C`` (another commit), ``M`` (modified files), ``U`` (untracked files)."""
    in_index: bool
    head_mode: bytes
    head_object: bytes
    """In HEAD; of mode ``000000`` where HEAD has no such path."""

    @property
    def is_submodule(self) -> bool:
        return self.submodule.startswith("S")

    @property
    def in_head(self) -> bool:
        return self.head_mode != _NO_MODE


class Status(msgspec.Struct, frozen=True):
    commit: str | None
    branch: str | None
    changes: list[Change] = msgspec.field(default_factory=list)
    untracked: list[bytes] = msgspec.field(default_factory=list)
    """Files, and folders (with a final slash) that hold no tracked file."""


def parse_status(output: bytes) -> Status:
    """The documented format: one record a NUL, fields by single spaces, the path last."""
    commit: str | None = None
    branch: str | None = None
    changes: list[Change] = []
    untracked: list[bytes] = []
    for record in output.split(b"\0"):
        kind = record[:2]
        if kind == b"1 ":
            _, xy, submodule, head_mode, index_mode, _, head_object, _, path = record.split(b" ", 8)
            in_index = index_mode != _NO_MODE
            changes.append(Change(path, chr(xy[1]), submodule.decode(), in_index, head_mode, head_object))
        elif kind == b"u ":
            # Stage 2 is "ours": what HEAD has.
            _, _, submodule, _, head_mode, _, _, _, head_object, _, path = record.split(b" ", 10)
            changes.append(Change(path, "U", submodule.decode(), True, head_mode, head_object))
        elif kind == b"? ":
            untracked.append(record[2:])
        elif record.startswith(b"# branch.oid "):
            oid = record.removeprefix(b"# branch.oid ").decode()
            commit = None if oid == "(initial)" else oid
        elif record.startswith(b"# branch.head "):
            head = shown_branch(record.removeprefix(b"# branch.head "))
            branch = None if head == "(detached)" else head
    return Status(commit, branch, changes, untracked)


def shown_branch(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
