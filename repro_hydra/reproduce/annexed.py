"""Unlocked files of git-annex: what git keeps of one is a pointer, and its content is with git-annex.

In the user's work tree a filter of git-annex puts the content in the pointer's place. A scratch tree has no such
filter, since that would write into the user's repository; so it is done here. (A locked file is a link, which
`borrow_objects` lets lead to its content.)
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from repro_hydra.code.facts import Location
from repro_hydra.code.git import Git
from repro_hydra.code.repository import annexed_objects
from repro_hydra.reproduce.inputs import place

_POINTER = "/annex/objects/"


class ContentNotPlaced(Exception):
    """A content is here, and could not be put into the tree; the text says which, and why."""


def fill_in_contents(git: Git, tree: Path, source: Location) -> None:
    """Replace the pointers in `tree` by the contents that the repository `source` has; others stay pointers.

    Raises
    ------
    GitUnavailableError
    ContentNotPlaced
        One cannot be written: a full disk, say.
    """
    if not annexed_objects(source.objects).is_dir() or shutil.which("git-annex") is None:
        return
    _, output, _ = git.ask("grep", "-z", "-l", "--cached", "-e", f"^{_POINTER}")
    keys = {}
    for name in output.split(b"\0")[:-1]:
        file = tree / os.fsdecode(name)
        if file.is_file() and not file.is_symlink():
            first = file.read_bytes().partition(b"\n")[0]
            keys[file] = first.removeprefix(_POINTER.encode())
    if not keys:
        return
    lines = b"".join(key + b"\n" for key in keys.values())
    _, output, _ = git.in_folder(source.top).ask("annex", "contentlocation", "--batch", data=lines)
    for file, where in zip(keys, output.split(b"\n"), strict=False):
        content = source.top / os.fsdecode(where)
        if where and content.is_file():
            try:
                file.unlink()
                place(content, file)
            except OSError as error:
                raise ContentNotPlaced(
                    f"{file.relative_to(tree)}: git-annex's content cannot be put in its place ({error.strerror})"
                ) from None
