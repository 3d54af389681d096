"""The example as the plain Hydra script that it is: nothing here uses the package."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig, OmegaConf

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]

# A callback of the user's own, to see what `main` hands back to Hydra.
SPY = """
import json, pathlib
from hydra.experimental.callback import Callback

class Spy(Callback):
    def on_job_end(self, config, job_return, **kwargs):
        value = job_return.return_value
        types = [type(value).__name__, *(type(number).__name__ for number in value.values())]
        pathlib.Path("returned.json").write_text(json.dumps({"value": value, "types": types}))
"""


def run_example(folder: Path, *overrides: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", f"hydra.run.dir={folder / 'run'}", *overrides],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=360,
    )
    assert done.returncode == 0, done.stderr
    return done


def load_config(run_dir: Path) -> DictConfig:
    config = OmegaConf.load(run_dir / ".hydra" / "config.yaml")
    assert isinstance(config, DictConfig)
    return config


def test_a_run_learns_returns_its_metrics_and_leaves_its_weights(tmp_path: Path) -> None:
    (tmp_path / "spy.py").write_text(SPY)
    run_example(tmp_path, "+hydra.callbacks.spy._target_=spy.Spy")
    run_dir = tmp_path / "run"

    returned = json.loads((tmp_path / "returned.json").read_text())
    assert returned["types"] == ["dict", "float", "float"]
    assert list(returned["value"]) == ["test_accuracy", "test_loss"]
    # Nothing sets a seed here, so there is no one value; twenty seeds gave 0.95 to 0.98.
    assert returned["value"]["test_accuracy"] > 0.93

    logged = re.findall(r"test accuracy (\d\.\d+)", (run_dir / "train.log").read_text())
    assert len(logged) == load_config(run_dir).epochs
    assert logged[-1] == f"{returned['value']['test_accuracy']:.4f}"

    weights = torch.load(run_dir / "weights.pt", weights_only=True)
    assert weights
    assert all(isinstance(value, torch.Tensor) for value in weights.values())


def test_config_groups_choose_model_and_optimizer(tmp_path: Path) -> None:
    done = run_example(tmp_path, "model=mlp", "optimizer=adamw", "epochs=1", "data.batch_size=256")
    config = load_config(tmp_path / "run")
    assert (config.model.name, config.optimizer._target_) == ("mlp", "torch.optim.AdamW")
    assert "mlp with " in done.stdout
    assert (tmp_path / "run" / "weights.pt").is_file()


def test_printing_the_config_of_an_experiment_starts_nothing(tmp_path: Path) -> None:
    config = OmegaConf.create(run_example(tmp_path, "+experiment=wide", "--cfg", "job").stdout)
    assert config.seed == 0
    assert (config.model.name, config.optimizer._target_) == ("conv", "torch.optim.AdamW")
    assert config.model.width > OmegaConf.load(ROOT / "conf" / "model" / "conv.yaml").width
    assert not list(tmp_path.iterdir())


def test_the_example_knows_nothing_of_this_package() -> None:
    """It shows that an existing script needs no change, so it must be such a script."""
    tree = ast.parse((ROOT / "train.py").read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.alias)}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert [name for name in names if re.search("repro|seed|determin", name)] == []
