"""The code of runs as a git bundle without history: one commit, of nobody, with all the files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from repro_hydra.code.facts import Location
from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.export import ExportedCode
from repro_hydra.record.manifest import digest_bytes
from repro_hydra.record.redact import find_secret
from repro_hydra.reproduce.checkout import check_out_one
from repro_hydra.reproduce.code_source import CodeMissing, find_one
from repro_hydra.temporary import TemporaryFolder

FOLDER = "code"
_NOBODY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "repro-hydra"), ("EMAIL", "nobody@localhost"), ("DATE", "@946684800 +0000"))
}
"""Equal code gives an equal commit, whoever exports it."""
_REF = "refs/heads/exported"


class ExportedTree:
    """The code of some runs, checked out in a scratch folder while this is open."""

    def __init__(
        self,
        code: CodeRecord,
        files: Mapping[str, bytes],
        here: Sequence[Location],
        environ: Mapping[str, str],
    ) -> None:
        """Check out the code of one repository; `files` are the patches and bundles of its record.

        Raises
        ------
        CodeMissing
        """
        self._folder = TemporaryFolder("export")
        self.tree = self._folder.path / "tree"
        self.id = code.tree or ""
        try:
            check_out_one(code, files, find_one(code, files, here, environ), self.tree, environ)
        except CodeMissing:
            self.close()
            raise
        self._git = Git(self.tree, environ, **_NOBODY)

    def close(self) -> None:
        self._folder.remove()

    def bundle(self, target: Path) -> ExportedCode:
        """Write the bundle into `target`, the export's folder.

        Raises
        ------
        CodeMissing
            Git cannot make it.
        """
        try:
            commit = self._git.run("commit-tree", self.id, "-m", "The code of a run").decode().strip()
            self._git.run("update-ref", _REF, commit)
            data = self._git.run("bundle", "create", "-q", "-", _REF)
        except (GitError, GitUnavailableError) as error:
            raise CodeMissing(f"code: the tree {self.id[:12]} cannot be bundled: {error}") from None
        name = f"{FOLDER}/{self.id[:12]}.bundle"
        (target / FOLDER).mkdir(exist_ok=True)
        (target / name).write_bytes(data)
        return ExportedCode(tree=self.id, bundle=name, snapshot=commit, blake3=digest_bytes(data))

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Each file of the tree, as git has it."""
        entries = []
        for entry in self._git.run("ls-tree", "-r", "-z", self.id).split(b"\0"):
            meta, _, name = entry.partition(b"\t")
            if name and b" blob " in meta:
                entries.append((os.fsdecode(name), meta.split()[2]))
        wanted = b"".join(blob + b"\n" for _, blob in entries)
        data = self._git.run("cat-file", "--batch", data=wanted)
        for path, _ in entries:
            header, _, data = data.partition(b"\n")
            size = int(header.split()[2])
            yield path, data[:size]
            data = data[size + 1 :]

    def secrets(self) -> list[str]:
        """What in the code looks like one."""
        found = []
        for path, data in self.files():
            secret = find_secret(data)
            if secret is not None:
                found.append(f"code: {path}:{secret[1]}: looks like {secret[0]}")
        return found
