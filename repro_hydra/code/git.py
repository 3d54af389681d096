"""Asking git, by its own command line.

GitPython would wrap the same processes, but its import alone takes 70 to 83 ms (GitPython 3.2.1, Python 3.11),
more than the whole of a capture may; a git process takes 2 to 3 ms.

The user's settings are kept where they say what the content is (ignored files, line ends, filters, trusted
owners) and overridden where they would change the form of an answer, run a program of theirs, or write.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path

_TIMEOUT_S = 120.0
_KEPT_VARIABLES = (
    "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_",
    "GIT_CONFIG_VALUE_", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS_FILESYSTEM", "GIT_EXEC_PATH", "GIT_TEST_",
)  # fmt: skip
"""All other GIT_… variables are dropped: a hook, an alias or a test run sets GIT_DIR, GIT_INDEX_FILE, …"""

_OVERRIDES = (
    "core.fsmonitor=false",  # would start a daemon
    "core.untrackedCache=false",
    "core.splitIndex=false",  # would write the shared half of a scratch index beside the user's
    "core.hooksPath=/dev/null",  # update-ref runs a reference-transaction hook
    "core.logAllRefUpdates=false",
    "core.quotePath=true",
    "core.safecrlf=false",  # true refuses files with mixed line ends
    "diff.suppressBlankEmpty=false",
    "core.compression=-1",  # a binary patch is compressed with it: equal content, equal patch
    "core.looseCompression=1",
    "diff.orderFile=/dev/null",
    "diff.renameLimit=1000",
    "i18n.commitEncoding=UTF-8",
    "i18n.logOutputEncoding=UTF-8",
    "log.showSignature=false",
    "submodule.recurse=false",
    "gc.auto=0",
)


class GitError(Exception):
    """Git ran and refused; `said` is what it wrote, `status` its exit status."""

    def __init__(self, arguments: Sequence[str], status: int, said: str) -> None:
        self.status = status
        self.said = said.strip()
        super().__init__(f"git {arguments[0]}: {self.said or f'status {status}'}")


class GitUnavailableError(Exception):
    """There is no git that could be asked, or it did not answer."""


class Git:
    """Runs git in one folder; several questions can be asked at once (`start`, then `finish`)."""

    def __init__(self, folder: Path, environ: Mapping[str, str], **extra: str) -> None:
        """`extra` are further variables, such as GIT_INDEX_FILE."""
        self.folder = folder
        self._running: list[subprocess.Popen[bytes]] = []
        kept = {
            name: value
            for name, value in environ.items()
            if not name.startswith("GIT_") or name.startswith(_KEPT_VARIABLES)
        }
        kept.pop("LANGUAGE", None)
        self._environ = {
            **kept,
            "LC_ALL": "C",
            "GIT_OPTIONAL_LOCKS": "0",  # `status` would write the user's index
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_LAZY_FETCH": "1",
            **extra,
        }

    def with_variables(self, **extra: str) -> Git:
        other = copy(self)
        other._environ = {**self._environ, **extra}
        return other

    def in_folder(self, folder: Path) -> Git:
        """For another repository: what points at this one's index and objects is dropped."""
        return Git(folder, self._environ)

    def start(self, *arguments: str, with_input: bool = False) -> subprocess.Popen[bytes]:
        settings = [part for override in _OVERRIDES for part in ("-c", override)]
        try:
            process = subprocess.Popen(
                ["git", *settings, *arguments],
                cwd=self.folder,
                env=self._environ,
                stdin=subprocess.PIPE if with_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise GitUnavailableError(f"git cannot be started: {error.strerror}") from None
        self._running.append(process)
        return process

    def close(self) -> None:
        """End what was started and never finished, because something else failed first."""
        for process in self._running:
            if process.returncode is None:
                process.kill()
                process.communicate()

    def finish_limited(self, process: subprocess.Popen[bytes], limit: int) -> bytes | None:
        """The output of a command that must succeed; None, and the command is ended, above `limit` bytes."""
        assert process.stdout is not None
        output = process.stdout.read(limit + 1)
        if len(output) > limit:
            process.kill()
            process.communicate()
            return None
        status, _, said = self.finish(process)
        if status != 0:
            raise GitError(["diff-tree"], status, said)
        return output

    def finish(self, process: subprocess.Popen[bytes], data: bytes | None = None) -> tuple[int, bytes, str]:
        """Status, output and what it said besides."""
        try:
            output, errors = process.communicate(data, timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise GitUnavailableError(f"git did not answer within {_TIMEOUT_S:.0f} s") from None
        return process.returncode, output, errors.decode(errors="replace")

    def ask(self, *arguments: str, data: bytes | None = None) -> tuple[int, bytes, str]:
        return self.finish(self.start(*arguments, with_input=data is not None), data)

    def run(self, *arguments: str, data: bytes | None = None) -> bytes:
        """The output of a command that must succeed.

        Raises
        ------
        GitError
            Where its exit status is not 0.
        """
        status, output, said = self.ask(*arguments, data=data)
        if status != 0:
            raise GitError(arguments, status, said)
        return output


def shown(path: bytes) -> str:
    """A path as text for a record; bytes that are no UTF-8 stand as escapes."""
    return path.decode("utf-8", "backslashreplace")


def join(top: bytes, path: bytes) -> bytes:
    """Paths are bytes here, as git has them: on Linux a name need not be text, and `pathlib` wants text."""
    return top + b"/" + path
