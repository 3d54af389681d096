"""Where a fault is tried: a project in git with the script, and the commands that its user types."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any

from catalogue import Case

from repro_hydra.cli.run import environment_for
from repro_hydra.determinism.addresses import fixed_for_children

CONFIG = "seed: 1\nlr: 0.1\n"
IGNORED = "outputs/\nmultirun/\n__pycache__/\nreproductions/\nrepro-data/\n"
LIMIT_S = 360
_DROPPED = (
    "GIT_",
    "REPRO_HYDRA_",
    "PYTEST_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "NUMEXPR_",
    "VECLIB_",
    "PYTHON",
    "CUBLAS_",
    "LC_",
    "SLURM_",
)


class Arena:
    """One project of its own, below `folder`.

    Parameters
    ----------
    which : str
        ``fault`` or ``clean``: the script that is tried.
    """

    def __init__(self, folder: Path, case: Case, which: str) -> None:
        self.case, self.which = case, which
        self.top, self.outside, home = folder / "project", folder / "outside", folder / "home"
        for path in (self.top, self.outside, home):
            path.mkdir(parents=True)
        # Short, wherever the tests' folders lie: a data loader's workers open a socket below it, whose path may have
        # 107 characters; a longer one hangs the loader.
        scratch = tempfile.mkdtemp(prefix="arena-")
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        (home / "gitconfig").write_text(
            "[user]\n\tname = A User\n\temail = user@example.org\n[init]\n\tdefaultBranch = main\n"
        )
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED)}
        self.environ = kept | {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "TMPDIR": scratch,
            "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        self._set_up()

    # ------------------------------------------------------------------ the project

    def _set_up(self) -> None:
        case = self.case
        self._write({"train.py": case.script(self.which), "conf/config.yaml": CONFIG, **case.files})
        ignored = "".join(f"/{name}\n" for name in [*case.ignored, *case.link])
        self._write({".gitignore": IGNORED + ignored})
        if case.repository:
            self._git("init", "-q")
            self._git("add", "-A")
            self._git("commit", "-q", "-m", "a commit")
        self._write(case.untracked)
        self._write(case.ignored)
        self._link(case.link)
        if case.register:
            tool = [sys.executable, "-m", "repro_hydra", "data", "add", "--name", "numbers", case.register]
            assert self._process(tool, self.environ).returncode == 0
        for name, text in case.outside.items():
            (self.outside / name).write_text(text)
        if case.editable:
            self._install_in_place()
        if case.stale:
            self._leave_stale_bytecode(self.top / f"{case.stale}.py")

    def change(self) -> None:
        """What happens between two runs."""
        self._write(self.case.change)
        self._link(self.case.relink)
        for name, text in self.case.outside_change.items():
            (self.outside / name).write_text(text)

    def _write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def _link(self, links: dict[str, str]) -> None:
        for name, target in links.items():
            path = self.top / name
            path.unlink(missing_ok=True)
            path.symlink_to(target)

    def _install_in_place(self) -> None:
        """What ``pip install -e`` leaves: the package's own folder, and a note of where it came from."""
        (self.outside / ".gitignore").write_text("*.dist-info/\n")
        for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "a commit"]):
            subprocess.run(["git", *arguments], cwd=self.outside, env=self.environ, check=True)
        note = self.outside / "helper-1.0.dist-info"
        note.mkdir()
        (note / "METADATA").write_text("Metadata-Version: 2.1\nName: helper\nVersion: 1.0\n")
        origin = {"url": f"file://{self.outside}", "dir_info": {"editable": True}}
        (note / "direct_url.json").write_text(json.dumps(origin))
        (note / "RECORD").write_text("helper.py,,\n")
        if self.case.editable == "dirty":
            for file in self.outside.glob("*.py"):
                file.write_text(file.read_text() + "# not committed\n")

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self.top, env=self.environ, check=True, capture_output=True)

    @staticmethod
    def _leave_stale_bytecode(source: Path) -> None:
        """As a checkout leaves it that sets times back: another source's code, with this one's time and size."""
        other = source.read_text().replace("1", "2")
        state = source.stat()
        header = importlib.util.MAGIC_NUMBER + bytes(4)
        header += int(state.st_mtime).to_bytes(4, "little") + state.st_size.to_bytes(4, "little")
        cached = Path(importlib.util.cache_from_source(str(source)))
        cached.parent.mkdir(exist_ok=True)
        cached.write_bytes(header + marshal.dumps(compile(other, str(source), "exec")))

    # ------------------------------------------------------------------ commands

    def run(
        self, mode: str | None, arguments: list[str] | None = None, environment: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """``python train.py +repro=…``; without a mode as plain Hydra runs it."""
        command = self.command(mode, arguments)
        prepared = mode == "strict" and not self.case.fresh_start
        with fixed_for_children(prepared):
            return self._process(command, self._environment(command, environment, prepared=prepared))

    def command(self, mode: str | None, arguments: list[str] | None = None) -> list[str]:
        case = self.case
        given = case.arguments if arguments is None else arguments
        ours = (
            [] if mode is None else [f"+repro={mode}", *(case.strict_arguments if mode != "record" else [])]
        )
        return [sys.executable, *case.program, *given, *ours]

    def check(self, mode: str | None, *options: str) -> tuple[int, dict[str, Any], str]:
        """``repro-hydra check``: exit status, document, and what it said."""
        tool = [sys.executable, "-m", "repro_hydra", "check", "--json", *options, "--", *self.command(mode)]
        done = self._process(tool, self._environment(tool, None, prepared=False))
        return done.returncode, json.loads(done.stdout or "{}"), done.stderr

    def reproduce(self, run_dir: Path) -> dict[str, Any]:
        """``repro-hydra reproduce``."""
        done = self._process(
            [sys.executable, "-m", "repro_hydra", "reproduce", "--json", str(run_dir)], self.environ
        )
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def _environment(
        self, command: list[str], more: dict[str, str] | None, *, prepared: bool
    ) -> dict[str, str]:
        given = self.case.environment if more is None else more
        environ = self.environ | {
            name: value.replace("OUTSIDE", str(self.outside)) for name, value in given.items()
        }
        # As `repro-hydra run` does it: no second start. Where the start itself is at stake, nothing is set.
        return environment_for(command, environ) if prepared else environ

    def _process(self, command: list[str], environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.top,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )

    # ------------------------------------------------------------------ what runs leave

    def runs(self) -> list[Path]:
        """The directories that hold a record, oldest first."""
        found = [file.parent.parent for file in self.top.glob("**/.repro/run.json")]
        return sorted(found, key=lambda run: str(record(run)["created_at"]))

    def findings(self) -> list[dict[str, Any]]:
        """Of every run and sweep, those that are not harmless."""
        found: list[dict[str, Any]] = []
        for name in ("run", "sweep"):
            for file in sorted(self.top.glob(f"**/.repro/{name}.json")):
                found += json.loads(file.read_text())["findings"]
        return [finding for finding in found if finding["severity"] != "harmless"]


def record(run_dir: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run_dir / ".repro" / "run.json").read_text())
    return document


def outcome_of(run_dir: Path) -> dict[str, Any]:
    """What of a run must be equal in another: its result, and the digests of the files that it wrote."""
    names = json.loads((run_dir / ".repro" / "manifest.json").read_text())["files"]
    files = {
        item["path"]: item["blake3"]
        for item in names
        if not item["path"].startswith((".repro/", ".hydra/")) and not item["path"].endswith(".log")
    }
    return {"result": json.loads((run_dir / ".repro" / "result.json").read_text()), "files": files}


def what_is_missing(need: str) -> str | None:
    """Why a case cannot be tried here; None where it can."""
    if need == "gpu":
        if importlib.util.find_spec("torch") is None:
            return "needs a GPU"
        import torch

        return None if torch.cuda.is_available() else "needs a GPU"
    if need == "locale":
        listed = subprocess.run(["locale", "-a"], capture_output=True, text=True).stdout.lower()
        return (
            None
            if "de_de" in listed or shutil.which("localedef")
            else "needs a locale beside C, or localedef"
        )
    if need == "python3.11":
        return None if sys.version_info >= (3, 11) else "needs python -P, of Python 3.11"
    if need and importlib.util.find_spec(need) is None:
        return f"needs {need}"
    return None
