"""A repository of its own that borrows the objects of another one, and writes nothing into it.

Not ``git worktree add``, which writes into the user's repository and leaves an entry there when it is killed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from repro_hydra.code.git import Git


def borrow_objects(tree: Path, objects: Path | None, environ: Mapping[str, str], id_length: int) -> Git:
    """An empty repository in `tree` that finds the objects of the one whose `objects` folder is given.

    Parameters
    ----------
    objects : Path, optional
        None: it borrows from nobody.
    id_length : int
        Hexadecimal digits of an object's name: 64 for a repository of SHA-256.

    Raises
    ------
    GitError
    GitUnavailableError
    """
    tree.mkdir(parents=True, exist_ok=True)
    git = Git(tree, environ)
    form = "sha256" if id_length == 64 else "sha1"
    git.run("init", "-q", "--template=", f"--object-format={form}", ".")
    if objects is not None:
        info = tree / ".git" / "objects" / "info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "alternates").write_bytes(os.fsencode(os.path.realpath(objects)) + b"\n")
    return git
