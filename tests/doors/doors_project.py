"""A user's project on disk, and the commands that its user types."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

LIMIT_S = 240
"""No command here takes more than a few seconds on a quiet machine; one that hangs must fail its test."""

PLAIN_CONFIG = "seed: 1\nlr: 0.1\n"

DRAWING_SCRIPT = """\
import random

import hydra
import numpy as np

LEFT_BEHIND = []


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    LEFT_BEHIND.append(1)
    return {
        "python": random.random(),
        "numpy": float(np.random.rand()),
        "hash": hash("a") % 1000003,
        "calls": len(LEFT_BEHIND),
    }


if __name__ == "__main__":
    main()
"""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def ok(self) -> Ended:
        assert self.code == 0, self.text
        return self

    def frames(self) -> list[str]:
        """The files of the lines in the tracebacks that it printed."""
        return re.findall(r'^ +File "([^"]+)"', self.text, re.MULTILINE)

    def refused(self, code: int, *words: str) -> Ended:
        """It ended with this status, one clear message and no traceback."""
        assert self.code == code, (self.code, self.text)
        assert "Traceback" not in self.text
        for word in words:
            assert word in self.text, self.text
        return self


class Project:
    """A git repository with a script."""

    def __init__(self, top: Path, environment: dict[str, str]) -> None:
        self.top = top
        self.environment = environment
        self.python = sys.executable

    def write(self, path: str, text: str) -> Path:
        file = self.top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def git(self, *arguments: str) -> None:
        subprocess.run(
            ["git", *arguments],
            cwd=self.top,
            env=self.environment,
            check=True,
            capture_output=True,
            timeout=LIMIT_S,
        )

    def commit(self) -> Project:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a commit")
        return self

    def holding(self, script: str = DRAWING_SCRIPT, config: str = PLAIN_CONFIG, **more: str) -> Project:
        """Write the script, its config and a .gitignore as Hydra's users have it, and commit them."""
        self.write("train.py", script)
        self.write("conf/config.yaml", config)
        self.write(".gitignore", "outputs/\nmultirun/\n__pycache__/\n")
        for path, text in more.items():
            self.write(path, text)
        return self.commit()

    def command(self, *arguments: str, program: tuple[str, ...] = ("train.py",)) -> list[str]:
        return [self.python, *program, *arguments]

    def run(
        self,
        *arguments: str,
        program: tuple[str, ...] = ("train.py",),
        cwd: Path | None = None,
        fed: str = "",
        **variables: str,
    ) -> Ended:
        """Run ``python train.py …`` to its end, its standard input from the file `fed`."""
        with (self.top / fed if fed else Path(os.devnull)).open() as stdin:
            done = subprocess.run(
                self.command(*arguments, program=program),
                cwd=cwd or self.top,
                env=self.environment | variables,
                stdin=stdin,
                capture_output=True,
                text=True,
                timeout=LIMIT_S,
            )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(
        self,
        *arguments: str,
        program: tuple[str, ...] = ("train.py",),
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start ``python train.py …`` and leave it running."""
        return subprocess.Popen(
            self.command(*arguments, program=program),
            cwd=self.top,
            env=self.environment | dict(variables or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    # ------------------------------------------------------------------ what a run leaves

    def runs(self) -> list[Path]:
        """The directories that hold a record, oldest first."""
        found = [file.parent.parent for file in self.top.glob("**/.repro/run.json")]
        return sorted(found, key=lambda run: load(run, "run")["created_at"])

    def only_run(self) -> Path:
        (run,) = self.runs()
        return run

    def sweep(self) -> Path:
        (file,) = self.top.glob("**/.repro/sweep.json")
        return file.parent.parent

    def files(self) -> set[str]:
        """Everything in the project but git's own and Python's caches."""
        return {
            str(path.relative_to(self.top))
            for path in self.top.rglob("*")
            if not {".git", "__pycache__"} & set(path.relative_to(self.top).parts)
        }


def load(run: Path, name: str) -> Any:
    """One JSON file of a record."""
    return json.loads((run / ".repro" / f"{name}.json").read_text())


def result(run: Path) -> dict[str, Any]:
    return dict(load(run, "result"))


def finding_ids(run: Path) -> set[str]:
    return {finding["id"] for finding in load(run, "run")["findings"]}


def wait_until(condition: Callable[[], Any], limit_s: float = 120.0) -> Any:
    """What `condition` answers as soon as that is true; fails after `limit_s`."""
    import time

    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"not within {limit_s} s: {condition}")


def is_gone(pid: int) -> bool:
    """Whether no process of this id runs any more (one that nobody waited for is gone too)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
