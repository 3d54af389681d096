"""`repro_hydra.fingerprint`: an interrupted training has the lines of one that was not."""

from __future__ import annotations

import copy
from pathlib import Path

import msgspec
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader
from trainings import data, network

from repro_hydra.fingerprint.log import FingerprintsSoFar
from repro_hydra.fingerprint.recorder import Fingerprints
from repro_hydra.imports import LateImports


def test_a_run_that_goes_on_gives_the_lines_of_one_that_was_not_interrupted(tmp_path: Path) -> None:
    """From a checkpoint in the middle of an epoch, with steps that were made once more on the way to it."""

    class State:
        def __init__(self) -> None:
            torch.manual_seed(3)
            self.model = network()
            self.optimizer = torch.optim.Adam(self.model.parameters())

        def train(self, steps: range) -> None:
            x, y = data().tensors
            for step in steps:
                rows = slice(4 * step % 24, 4 * step % 24 + 4)
                self.optimizer.zero_grad()
                functional.cross_entropy(self.model(x[rows]), y[rows]).backward()
                if step % 3 != 1:  # gradients of two batches are added up
                    self.optimizer.step()
            return

    def begun(name: str) -> Fingerprints:
        taking = Fingerprints(tmp_path / name, lambda error: pytest.fail(str(error)))
        taking.install(LateImports().when_imported)
        return taking

    whole = begun("whole")
    State().train(range(12))
    whole.close()

    first, state = begun("parts"), State()
    state.train(range(5))  # the last batch has made no step yet
    so_far = first.so_far()
    kept = copy.deepcopy((state.model.state_dict(), state.optimizer.state_dict()))
    gradients = [
        parameter.grad.clone() for parameter in state.model.parameters() if parameter.grad is not None
    ]
    first.close()

    second = begun("parts")
    second.pause()
    state = State()
    state.train(range(1))  # runs again, and stands in the file already
    state.model.load_state_dict(kept[0])
    state.optimizer.load_state_dict(kept[1])
    second.go_on(so_far)
    for parameter, gradient in zip(state.model.parameters(), gradients, strict=True):
        parameter.grad = gradient
    state.train(range(5, 12))
    second.close()
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


# --- what programs do with their optimizers, modules and losses ---------------------------------------------


def test_a_checkpoint_between_batches_of_a_loader(tmp_path: Path) -> None:
    """What a loader had told before it is kept, and not taken for a module's inputs afterwards."""
    from_loader = Fingerprints(tmp_path / "a", lambda error: pytest.fail(str(error)))
    from_loader.install(LateImports().when_imported)
    batches = iter(DataLoader(data(), 4))
    next(batches)
    so_far = msgspec.convert(msgspec.to_builtins(from_loader.so_far()), FingerprintsSoFar)
    next(batches)
    whole = from_loader.so_far().pending
    from_loader.close()
    again = Fingerprints(tmp_path / "b", lambda error: pytest.fail(str(error)))
    again.install(LateImports().when_imported)
    batches = iter(DataLoader(data(), 4))
    again.pause()
    next(batches)
    again.go_on(so_far)
    next(batches)
    assert again.so_far().pending == whole
    again.close()
