"""An unlucky clean run is never accused: the example and five other training scripts under strict."""

from __future__ import annotations

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from arena import Arena, record
from catalogue import Case

HERE = Path(__file__).parent
TOP = HERE.parent.parent
SCRIPTS = {
    "numpy_only": "numpy",
    "sklearn_forest": "sklearn",
    "torch_plain": "torch",
    "lightning_module": "lightning",
    "gymnasium_agent": "gymnasium",
}
EXAMPLE = "train"
SWEEP = ("-m", "epochs=2", "hydra/launcher=repro", "hydra.launcher.n_jobs=3")
REPORT = HERE / "clean_runs.json"


class Training(Case):
    """A whole training script in the place of a fault."""

    def script(self, which: str) -> str:
        del which
        path = TOP / "train.py" if self.name == EXAMPLE else HERE / "training" / f"{self.name}.py"
        return path.read_text()

    @property
    def files(self) -> dict[str, str]:
        return {}


def arena_of(name: str, folder: Path) -> Arena:
    case = Training(name=name, title=name, group="seeds", outcome="prevented", fresh_start=True)
    arena = Arena(folder, case, "clean")
    if name == EXAMPLE:
        shutil.rmtree(arena.top / "conf")
        shutil.copytree(TOP / "conf", arena.top / "conf")
        arena._git("add", "-A")
        arena._git("commit", "-q", "-m", "its configs")
    return arena


def alarms(arena: Arena) -> list[dict[str, Any]]:
    """What the runs were accused of: every finding but the harmless, and a promise that is not upheld."""
    found = arena.findings()
    return found + [record(run) for run in arena.runs() if record(run)["upheld"] != "yes"]


@pytest.mark.parametrize("name", [EXAMPLE, *SCRIPTS])
def test_a_clean_training_raises_no_alarm(name: str, tmp_path: Path) -> None:
    """The audit, the probes and the watch over inputs are on."""
    pytest.importorskip(SCRIPTS.get(name, "torch"))
    arena = arena_of(name, tmp_path)
    done = arena.run("strict")
    assert done.returncode == 0, done.stderr
    assert alarms(arena) == []


@pytest.mark.soak
def test_fifty_five_clean_runs_raise_no_alarm(tmp_path: Path) -> None:
    """Fifty of the example, one of each other script; ``docs/faults.md`` prints what that proves."""
    runs = {EXAMPLE: 50, **dict.fromkeys(SCRIPTS, 1)}
    accused: list[str] = []
    for name, count in runs.items():
        arena = arena_of(name, tmp_path / name)
        # Fifty jobs of one sweep are fifty strict runs, each in a process of its own.
        done = arena.run("strict", [*SWEEP, f"seed=range({count})"] if count > 1 else [])
        assert done.returncode == 0, done.stderr
        found = alarms(arena)
        accused += [f"{name}: {item.get('id', item)}" for item in found]
        assert len(arena.runs()) == count
    REPORT.write_text(
        json.dumps({"runs": runs, "accused": accused, "seen": f"CPU, {date.today().isoformat()}"}, indent=2)
        + "\n"
    )
    assert accused == []
