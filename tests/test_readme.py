"""The README's command lines run, and print what the README shows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
LIMIT_S = 240
SCRIPTS = Path(sys.executable).parent
LEFT_OUT = "…"


@dataclass(frozen=True)
class Shown:
    """One command of a ``console`` block, and the lines that the README prints below it."""

    command: str
    lines: list[str]


def shown_commands(text: str) -> list[Shown]:
    found: list[Shown] = []
    for block in re.findall(r"^```console\n(.*?)^```$", text, flags=re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Shown(line[2:], []))
            else:
                found[-1].lines.append(line)
    return found


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers, dates, ids, the length of a table's rule."""
    line = re.sub(r"\b[0-9a-f]{8,}\b", "ID", line)
    line = re.sub(r"/\S*?(outputs|multirun|reproductions)/", r"\1/", line)
    line = re.sub(r"[-+]?\d[\d.,:e+-]*", "N", line)
    return re.sub(r"[\s─-]+", " ", line).strip()


def matches(shown: str, printed: str) -> bool:
    """Whether `printed` is what the README shows; an ellipsis within a line stands for anything."""
    parts = [re.escape(part) for part in shape(shown).split(LEFT_OUT)]
    return re.fullmatch(".*?".join(parts), shape(printed)) is not None


class Reader:
    """Someone who types the README's commands one after the other into a clone."""

    def __init__(self, clone: Path, home: Path) -> None:
        self.clone = clone
        # The clone has a copy of the package, which is imported from there: its byte code is kept, as a user's is.
        ours = ("REPRO_HYDRA_", "PYTEST_", "PYTHONDONTWRITEBYTECODE", "GIT_", "OMP_", "MKL_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)} | {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}",
        }

    def run(self, command: str) -> str:
        done = subprocess.run(
            self.here(command),
            shell=True,  # as its reader's shell would: quotes and all
            cwd=self.clone,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
        )
        assert done.returncode == 0, f"$ {command}\n{done.stdout}"
        return done.stdout

    def here(self, command: str) -> str:
        """The command with the README's directories and ids replaced by those of this clone."""
        command = re.sub(
            r"(outputs|multirun)/[\d-]+/[\d-]+", lambda found: self._latest(found.group(1)), command
        )
        return re.sub(r"\bshow [0-9a-f]{8}\b", lambda _: f"show {self._latest_id()}", command)

    def _latest(self, folder: str) -> str:
        return str(sorted((self.clone / folder).glob("*/*"))[-1].relative_to(self.clone))

    def _latest_id(self) -> str:
        records = (json.loads(path.read_text()) for path in self.clone.glob("multirun/**/.repro/run.json"))
        return str(max(records, key=lambda run: run["started_at"])["run_id"][:8])


def slurm_is_up() -> bool:
    """Whether there is a cluster to submit to; without one that command of the README is not run."""
    if shutil.which("sinfo") is None:
        return False
    return subprocess.run(["sinfo"], capture_output=True, timeout=30).returncode == 0


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    folder = tmp_path_factory.mktemp("readme")
    clone, home = folder / "repro_hydra", folder / "home"
    home.mkdir()
    # A copy of the files, not of the repository: what is not committed yet is to be tried too.
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, check=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.decode().split("\0")):
        source, target = ROOT / name, clone / name
        if name.startswith(("train.py", "conf/", "scripts/", ".gitignore")) and source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    git = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a clone"]):
        subprocess.run([*git, *command], cwd=clone, check=True)
    return Reader(clone, home)


def test_the_readme_shows_commands() -> None:
    shown = shown_commands((ROOT / "README.md").read_text())
    assert len(shown) >= 5
    assert any(command.lines for command in shown)


@pytest.mark.timeout(1200)  # all commands of the README, one after the other
def test_each_command_runs_and_prints_what_the_readme_shows(reader: Reader) -> None:
    """Each line shown stands in the real output, in that order, but for numbers, dates and ids."""
    for shown in shown_commands((ROOT / "README.md").read_text()):
        if "submitit_slurm" in shown.command and not slurm_is_up():
            continue
        printed = iter(reader.run(shown.command).splitlines())
        for line in shown.lines:
            if line.strip() == LEFT_OUT or not line.strip():
                continue
            assert any(matches(line, other) for other in printed), f"$ {shown.command}\nnot printed: {line}"


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a  0.5  12", "a 0.75 3", True),
        ("directory outputs/2026-11-24/10-15-07", "directory /tmp/x/outputs/2026-01-01/01-01-01", True),
        ("manifest blake3:b547e931…", "manifest blake3:0123456789abcdef0", True),
        ("upheld: yes", "upheld: no", False),
        ("n mean std", "n mean", False),
    ],
)
def test_what_counts_as_the_same_line(shown: str, printed: str, same: bool) -> None:
    """The comparison itself barks at another word, and not at another number."""
    assert matches(shown, printed) is same
