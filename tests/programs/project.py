"""A researcher's project in a folder: a script, a git repository, and real processes that run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SCRIPT = """
import random
import hydra
import numpy as np

LEFT_BEHIND = []
NOISE = random.random()  # top-level code, before any seed


@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(cfg):
    LEFT_BEHIND.append(1)
    print("hash", hash("a"))
    print("left", len(LEFT_BEHIND))
    return {"python": random.random(), "numpy": float(np.random.rand()), "lr": cfg.lr}


if __name__ == "__main__":
    main()
"""
CONFIG = "seed: 0\nlr: 0.5\n"


@dataclass
class Project:
    """`root` is a git repository with one commit."""

    root: Path
    environ: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def commit(self) -> None:
        for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "state"]):
            subprocess.run(
                ["git", *command], cwd=self.root, env=self._environ(), check=True, capture_output=True
            )

    def _environ(self) -> dict[str, str]:
        base = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTEST_", "REPRO_HYDRA_", "COV_")) and not name.endswith("_NUM_THREADS")
        }
        identity = {
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_AUTHOR_NAME": "A",
            "GIT_AUTHOR_EMAIL": "a@example.org",
            "GIT_COMMITTER_NAME": "A",
            "GIT_COMMITTER_EMAIL": "a@example.org",
        }
        return {**base, **identity, "XDG_STATE_HOME": str(self.root.parent / "state"), **self.environ}

    def start(
        self, *arguments: str, program: tuple[str, ...] = ("train.py",), **options: Any
    ) -> subprocess.Popen[str]:
        """The program as a process that goes on."""
        return subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=self.root,
            env=self._environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **options,
        )

    def run(self, *arguments: str, program: tuple[str, ...] = ("train.py",), status: int | None = 0) -> str:
        """Run the program to its end; its output, standard error included."""
        done = subprocess.run(
            [sys.executable, *program, *arguments],
            cwd=self.root,
            env=self._environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        if status is not None:
            assert done.returncode == status, done.stdout
        return done.stdout

    def records(self) -> list[Path]:
        """The run directories that hold a record, in the order of their names."""
        found = (path.parent.parent for path in self.root.rglob(".repro/run.json"))
        return sorted(path for path in found if ".repro-earlier" not in str(path))

    def record(self, name: str = "run", run: Path | None = None) -> Any:
        """A file of the only record there is (or of `run`'s)."""
        if run is None:
            (run,) = self.records()
        return json.loads((run / ".repro" / f"{name}.json").read_text())

    def created(self) -> set[str]:
        """What lies in the project beside what was committed."""
        return {path.name for path in self.root.iterdir()} - {".git", "conf", "train.py", "__pycache__"}
