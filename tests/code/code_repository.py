"""A real repository, as its user works in it."""

# ruff: noqa: PTH103, PTH118, PTH120, PTH123 (paths are bytes here: a name need not be text)
from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from repro_hydra.code import CodeState, inspect_code


class Repository:
    """A work tree, and git as its user would run it."""

    def __init__(self, top: Path) -> None:
        self.top = top

    def git(self, *arguments: str, **options: object) -> str:
        return self.git_bytes(*arguments, **options).decode()

    def git_bytes(self, *arguments: str, **options: object) -> bytes:
        done = subprocess.run(["git", *arguments], cwd=self.top, capture_output=True, **options)
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return done.stdout

    def write(self, path: str | bytes, content: str | bytes = "content\n") -> None:
        absolute = os.path.join(os.fsencode(self.top), os.fsencode(path))
        os.makedirs(os.path.dirname(absolute), exist_ok=True)
        with open(absolute, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)

    def commit(self, message: str = "a commit") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def inspect(self, **options: object) -> CodeState:
        settings = {"max_file_bytes": 10_000_000, "max_patch_bytes": 100_000_000, **options}
        start = settings.pop("start", self.top)
        return inspect_code(start, **settings)

    def apply(self, state: CodeState, where: Path) -> str:
        """The tree that the commit and the patch give in a new worktree, by git's usual commands."""
        assert state.record.commit is not None
        self.git("worktree", "add", "-q", "--detach", str(where), state.record.commit)
        other = Repository(where)
        if state.patch:
            other.git_bytes("apply", "--whitespace=nowarn", "-", input=state.patch)
        other.git("add", "-A", "-f")
        return other.git("write-tree").strip()

    def fingerprint(self) -> dict[str, str]:
        """All that a capture must leave as it was."""
        directory = self.top / self.git("rev-parse", "--absolute-git-dir").strip()
        files = {}
        for folder, _, names in os.walk(directory):
            for name in names:
                file = Path(folder) / name
                relative = str(file.relative_to(directory))
                if not relative.startswith("refs/repro/"):
                    files[relative] = hashlib.sha256(file.read_bytes()).hexdigest()
        refs = self.git("for-each-ref").splitlines()
        return {
            **files,
            "(index's time)": str((directory / "index").stat().st_mtime_ns)
            if (directory / "index").exists()
            else "",
            "(refs)": "\n".join(line for line in refs if "refs/repro/" not in line),
            "(stash)": self.git("stash", "list"),
            "(work tree)": _digest_of_worktree(self.top),
        }


def _digest_of_worktree(top: Path) -> str:
    digest = hashlib.sha256()
    for folder, folders, names in os.walk(os.fsencode(top)):
        folders[:] = sorted(name for name in folders if name != b".git")
        for name in sorted(names):
            path = os.path.join(folder, name)
            state = os.lstat(path)
            digest.update(path + f"{state.st_mode} {state.st_mtime_ns} {state.st_size}".encode())
    return digest.hexdigest()
