"""A repository of its own that borrows the objects of another one (git-annex's too), and writes nothing into it.

Not ``git worktree add``, which writes into the user's repository and leaves an entry there when it is killed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from repro_hydra.code.git import Git, GitError

_FAILED_FILTER = re.compile(r": smudge filter (.+) failed$", re.MULTILINE)
"""As git says it of one that is required; asked in English (`LC_ALL`)."""


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
        with suppress(
            FileNotFoundError
        ):  # where a shallow clone's history ends; git would look for what is before it
            ends = (Path(os.path.realpath(objects)).parent / "shallow").read_bytes()
            (tree / ".git" / "shallow").write_bytes(ends)
        contents = annexed_objects(objects)
        if contents.is_dir():  # a file of git-annex is a link to there, relative to its own place
            (tree / ".git" / "annex").mkdir()
            (tree / ".git" / "annex" / "objects").symlink_to(contents)
    return git


def convert_as_in(git: Git, source: Git) -> None:
    """Let `git` write files as the repository `source` does by its own settings: line ends, filters such as Git LFS.

    Not git-annex's filter, which would write into that repository.

    Raises
    ------
    GitError
    GitUnavailableError
    """
    _, output, _ = source.ask("config", "--local", "-z", "--get-regexp", r"^(filter\.|core\.(autocrlf|eol)$)")
    for setting in output.split(b"\0")[:-1]:
        key, has_value, value = os.fsdecode(setting).partition("\n")
        if not key.startswith("filter.annex."):
            git.run("config", "--add", key, value if has_value else "true")  # `[filter "x"] required`


def check_out_commit(git: Git, commit: str) -> list[str]:
    """Put the files of a commit into the tree; without those filters that fail there, which are told.

    A filter may need what lies in the user's own ``.git`` (the key of git-crypt does), where it does not run here.

    Raises
    ------
    GitError
    GitUnavailableError
    """
    dropped: list[str] = []
    while True:
        try:
            git.run("checkout", "-q", "-f", "--detach", commit)
        except GitError as error:
            failed = _FAILED_FILTER.search(error.said)
            if failed is None or not _drop_filter(git, failed[1]):
                raise
            dropped.append(failed[1])
        else:
            return dropped


def _drop_filter(git: Git, name: str) -> bool:
    """Whether it was one of the tree's own settings, which is gone now."""
    status, _, _ = git.ask("config", "--local", "--remove-section", f"filter.{name}")
    return status == 0


def annexed_objects(objects: Path) -> Path:
    """Where git-annex keeps contents, in the repository whose `objects` folder is given."""
    return Path(os.path.realpath(objects)).parent / "annex" / "objects"


def leave_out(tree: Path, paths: Iterable[bytes] = (), *, as_in: Path | None = None) -> None:
    """Let git overlook files in the repository made in `tree`: they are no code of it.

    Parameters
    ----------
    paths : iterable of bytes
        Relative to `tree`.
    as_in : Path, optional
        What the repository with this git directory overlooks by its own list, which no commit holds.

    Raises
    ------
    OSError
    """
    rules = b""
    if as_in is not None:
        with suppress(OSError):  # it has none
            rules = (as_in / "info" / "exclude").read_bytes() + b"\n"
    info = tree / ".git" / "info"
    info.mkdir(exist_ok=True)
    with (info / "exclude").open("ab") as stream:
        stream.write(rules + b"".join(_as_pattern(path) for path in paths))


def _as_pattern(path: bytes) -> bytes:
    if b"\n" in path:
        return b""  # no pattern can name it
    for special in b"\\*?[":
        path = path.replace(bytes([special]), b"\\" + bytes([special]))
    return b"/" + path + b"\n"
