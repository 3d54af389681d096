"""A Lightning Trainer that is struck goes on, and ends with the bits of the one that was left alone."""

from __future__ import annotations

import json
import random
import signal
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("lightning") is None:
    pytest.skip("needs lightning", allow_module_level=True)

import lightning
import numpy as np
import torch
from lightning_training import EPOCHS, STEPS_AN_EPOCH, Classifier, Died, Points, fit
from training import Laboratory, assert_equal, make_laboratory

from repro_hydra import CheckpointError
from repro_hydra.checkpoint import preemption
from repro_hydra.checkpoint.preemption import Preempted
from repro_hydra.lightning import Resumable

STEPS = EPOCHS * STEPS_AN_EPOCH
OPTIONS: dict[str, dict[str, Any]] = {
    "epochs": {},
    "max_steps": {"max_steps": STEPS - 2, "max_epochs": -1},
    "accumulated": {"accumulate_grad_batches": 2},
    "validated within": {"val_check_interval": 3},
    "loaders made anew": {"reload_dataloaders_every_n_epochs": 1},
}


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in preemption.SIGNALS}
    yield
    preemption.forget()
    assert {number: signal.getsignal(number) for number in preemption.SIGNALS} == before


def attempt(folder: Path, seed: int, strikes: dict[int, str], **options: Any) -> dict[str, Any]:
    preemption.forget()
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    return fit(folder, strikes, **options)


def struck(folder: Path, strikes: list[tuple[int, str]], **options: Any) -> tuple[dict[str, Any], list[str]]:
    """Each attempt begins with generators of its own: what they give must come from the checkpoint."""
    ends = []
    for number, (step, strike) in enumerate(strikes):
        try:
            attempt(folder, 3 if number == 0 else 50 + number, {step: strike}, **options)
            ends.append("completed")
        except Preempted as preempted:
            ends.append(preempted.reason)
        except Died:
            ends.append("died")
    return attempt(folder, 99, {}, **options), ends


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("epochs", [2, 6, 16]),  # within an epoch, at its last batch, in the last epoch
        ("max_steps", [6, 9]),
        ("accumulated", [3, 9]),
        ("validated within", [3, 13]),
        ("loaders made anew", [14]),
        *(pytest.param(name, range(1, STEPS - 1), marks=pytest.mark.soak) for name in OPTIONS),
    ],
)
def test_struck_at_any_step(tmp_path: Path, name: str, steps: Sequence[int]) -> None:
    """Weights, optimizer, scheduler, metrics and the next random numbers, however often the Trainer was struck."""
    options = OPTIONS[name] | {"resumable": {"directory": "", "every_steps": 4}}
    options["resumable"]["directory"] = str(tmp_path / "alone" / "checkpoints")
    expected = attempt(tmp_path / "alone", 3, {}, **options)
    for step in steps:
        folder = tmp_path / str(step)
        options["resumable"] = options["resumable"] | {"directory": str(folder / "checkpoints")}
        second = (step + 4, "died")  # loses what was done since the last checkpoint
        left, ends = struck(folder, [(step, "SIGTERM"), second], **options)
        assert ends[0] == "SIGTERM"
        assert_equal(left, expected, f"{name}, struck at {step}")


def test_what_a_checkpoint_would_lose_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's own checkpoint alone does not give the same bits: the tests above can fail."""
    from repro_hydra.checkpoint.trainer_state import TrainerState

    options = {"resumable": {"directory": str(tmp_path / "alone" / "checkpoints")}}
    expected = attempt(tmp_path / "alone", 3, {}, **options)
    monkeypatch.setattr(TrainerState, "put", lambda self, taken: None)
    options = {"resumable": {"directory": str(tmp_path / "struck" / "checkpoints")}}
    left, _ = struck(tmp_path / "struck", [(9, "SIGTERM")], **options)
    assert_equal(left["model"], expected["model"])  # generators and the place in the data are not its affair
    assert (
        left["metrics"]["loss_epoch"] == expected["metrics"]["loss_epoch"]
    )  # of the last epoch, whole again
    assert left["batches"] != expected["batches"]


def test_mistakes_are_told(tmp_path: Path) -> None:
    """A forgotten ckpt_path, state that no checkpoint can hold, and no place for checkpoints."""
    place = {"resumable": {"directory": str(tmp_path / "checkpoints")}}
    with pytest.raises(Preempted):
        attempt(tmp_path, 3, {4: "SIGUSR2"}, **place)
    with pytest.raises(CheckpointError, match=r"ckpt_path=resumable\.ckpt_path"):
        attempt(tmp_path, 3, {}, going_on=False, **place)
    with pytest.raises(ValueError, match="Resumable: expected to be in a run"):
        Resumable()
    first, second = (Resumable(directory=tmp_path / "folds", every_steps=1) for _ in range(2))
    fold = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "max_epochs": 2}
    loader = torch.utils.data.DataLoader(Points(), 4)
    lightning.Trainer(callbacks=[first], enable_checkpointing=False, **fold).fit(
        Classifier({}), loader, loader
    )
    assert second.ckpt_path is None  # the second fold does not go on from the first one's
    assert first.ckpt_path is not None

    class Odd(Classifier):
        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["odd"] = object()

    trainer = lightning.Trainer(
        callbacks=[Resumable(directory=tmp_path / "other")],
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=1,
    )
    with pytest.raises(CheckpointError, match=r"the Trainer's checkpoint\.odd"):
        trainer.fit(Odd({}), torch.utils.data.DataLoader(Points(), 4))


def test_state_that_becomes_none_ends_no_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What could be kept on entry, and in the second epoch cannot: said plainly, and the Trainer trains on."""

    class TurnsOdd(Classifier):
        def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
            checkpoint["odd"] = object() if self.current_epoch else 0

    trainer = lightning.Trainer(
        callbacks=[Resumable(directory=tmp_path)], accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, max_epochs=3,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader(Points(), 4)
    trainer.fit(TurnsOdd({}), loader, loader)
    assert trainer.current_epoch == 3
    told = capsys.readouterr().err
    assert told.count("could not be written (the Trainer's checkpoint.odd: expected tensors") == 2, told


def test_in_a_run(tmp_path: Path) -> None:
    """A recorded run with loader workers, struck within an epoch and killed in the next: metrics are not doubled."""
    (tmp_path / "home").mkdir()
    script = Path(__file__).with_name("lightning_training.py").read_text()
    laboratory: Laboratory = make_laboratory(tmp_path / "project", tmp_path / "home", script)
    expected = laboratory.undisturbed("alone", "workers=2")
    left, codes = laboratory.struck("struck", ["SIGTERM@4", "SIGKILL@9"], "workers=2")
    assert codes == [143, -9, 0]
    left.same_bits(expected)
    assert left.run["upheld"] == "yes", left.run["findings"]
    assert [(r["reason"], r["step"]) for r in left.run["restarts"]] == [("SIGTERM", 4), ("lost", 6)]
    assert json.loads(left.result)["batches"] == STEPS
