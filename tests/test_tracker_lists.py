"""Several `+repro/tracking=` of one sweep are one list of trackers, however each of them is written."""

from __future__ import annotations

import pytest

from hydra_plugins.repro_hydra_plugin.guard import _trackers_in_one


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["mlflow", "wandb"], ["[mlflow,wandb]"]),
        (["[mlflow]", "wandb"], ["[mlflow,wandb]"]),
        (["[mlflow,wandb]", "tensorboard"], ["[mlflow,wandb,tensorboard]"]),
        (["tensorboard", "[ mlflow , tensorboard ]"], ["[tensorboard,mlflow]"]),
        (["[]", "wandb"], ["[wandb]"]),
        # A sweep over trackers stays what it is, and so does one alone.
        (["mlflow,wandb", "tensorboard"], ["mlflow,wandb", "tensorboard"]),
        (["[mlflow],[wandb]", "tensorboard"], ["[mlflow],[wandb]", "tensorboard"]),
        (["choice(mlflow,wandb)", "tensorboard"], ["choice(mlflow,wandb)", "tensorboard"]),
        (["[mlflow,wandb]"], ["[mlflow,wandb]"]),
    ],
)
def test_each_is_read_as_hydra_reads_it(values: list[str], expected: list[str]) -> None:
    told = ["seed=range(3)", *(f"+repro/tracking={value}" for value in values), "model=a,b"]
    whole = ["seed=range(3)", *(f"+repro/tracking={value}" for value in expected), "model=a,b"]
    assert _trackers_in_one(told) == whole
