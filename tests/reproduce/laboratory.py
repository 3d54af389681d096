"""A project, its runs, and what `repro-hydra` says of them."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import Any

from doors_project import LIMIT_S, Ended, Project

from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import required_variables

SCRIPT = """\
import random
from pathlib import Path

import hydra
import numpy as np
import repro_hydra
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    weights = np.random.rand(4, 3) * cfg.lr
    out = Path(HydraConfig.get().runtime.output_dir)
    np.savez(out / "weights.npz", weights=weights)
    repro_hydra.fingerprint("weights", weights)
    for step in range(3):
        repro_hydra.log_metrics({"loss": random.random()}, step=step)
    return {"accuracy": float(weights.sum()), "python": random.random(), "hash": hash("a") % 1000003}


if __name__ == "__main__":
    main()
"""


class Laboratory(Project):
    """The project, with what a user does after a run."""

    def repro(self, *arguments: str, cwd: Path | None = None, **variables: str) -> Ended:
        """Run ``repro-hydra …`` to its end, without a terminal."""
        done = subprocess.run(
            [self.python, "-m", "repro_hydra", *arguments],
            cwd=cwd or self.top,
            env=self.environment | variables,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S * 2,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def reproduce(
        self, run: Path, *arguments: str, cwd: Path | None = None, code: int | None = None, **variables: str
    ) -> dict[str, Any]:
        """The document of ``repro-hydra reproduce``; the user's files stay, and so does no scratch folder."""
        before = self.everything(cwd)
        ended = self.repro("reproduce", str(run), "--json", *arguments, cwd=cwd, **variables)
        assert "Traceback" not in ended.err or run_failed(ended), ended.text
        after = self.everything(cwd)
        assert after == before, sorted(dict(after.items() ^ before.items()))
        assert self.scratch_left() == []
        document: dict[str, Any] = json.loads(ended.out)
        expected = 0 if document["verdict"] in ("BITWISE", "WITHIN_TOLERANCE", "CONSISTENT") else 1
        assert ended.code == (expected if code is None else code), ended.text
        return document

    def bitwise(
        self, run: Path, *arguments: str, cwd: Path | None = None, **variables: str
    ) -> dict[str, Any]:
        document = self.reproduce(run, *arguments, cwd=cwd, **variables)
        assert document["verdict"] == "BITWISE", json.dumps(document, indent=1)
        assert document["missing"] == []
        return document

    def everything(self, top: Path | None = None) -> dict[str, str]:
        """What the user has: each file with a digest, git's own included; not what reproductions leave."""
        top = top or self.top
        found = {}
        for path in sorted(top.rglob("*")):
            name = path.relative_to(top).as_posix()
            if path.is_file() and "reproductions" not in name.split("/") and "__pycache__" not in name:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def scratch_left(self) -> list[str]:
        return sorted(path.name for path in Path(self.environment["TMPDIR"]).glob("repro-hydra-reproduce-*"))

    def original(
        self,
        *arguments: str,
        program: tuple[str, ...] = ("train.py",),
        cwd: Path | None = None,
        **variables: str,
    ) -> Path:
        """A strict run, in the environment that it wants at its start: no second one, as by ``repro-hydra run --``."""
        variables = required_variables(DeterminismConf(), self.environment | variables) | variables
        self.run("+repro=strict", *arguments, program=program, cwd=cwd, **variables).ok()
        return self.runs()[-1]

    def moved_away(self, run: Path, to: Path) -> Path:
        """The run's directory alone, copied to another place; the original is gone."""
        shutil.copytree(run, to)
        shutil.rmtree(run)
        return to


def run_failed(ended: Ended) -> bool:
    """Whether the traceback is the job's own, which the user is shown."""
    return "reproduce: job:" in ended.err


def edit(path: Path, **changes: Any) -> None:
    """Change top-level fields of a JSON file, as somebody with an editor would."""
    document = json.loads(path.read_text())
    document.update(changes)
    path.write_text(json.dumps(document, indent=2))


def laboratory_in(tmp_path: Path) -> Laboratory:
    """An empty repository and a home below `tmp_path`, and a place for scratch folders."""
    home, top = tmp_path / "home", tmp_path / "project"
    for folder in (home, top):
        folder.mkdir()
    scratch = tempfile.mkdtemp(prefix="lab-")  # short: the sockets of a data loader's workers lie below it
    config = home / "gitconfig"
    config.write_text("[user]\n\tname = A User\n\temail = user@example.org\n[init]\n\tdefaultBranch = main\n")
    ours = ("GIT_", "REPRO_HYDRA_", "PYTEST_", "SLURM_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "COV_")
    dropped = {
        "PYTHONHASHSEED",
        "CUBLAS_WORKSPACE_CONFIG",
        "PYTHONSAFEPATH",
        "HYDRA_FULL_ERROR",
        "PYTHONPATH",
    }
    kept = {name: v for name, v in os.environ.items() if not name.startswith(ours) and name not in dropped}
    made = Laboratory(
        top,
        kept
        | {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "TMPDIR": scratch,
            "GIT_CONFIG_GLOBAL": str(config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(tmp_path),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    weakref.finalize(made, shutil.rmtree, scratch, ignore_errors=True)
    made.git("init", "-q")
    return made
