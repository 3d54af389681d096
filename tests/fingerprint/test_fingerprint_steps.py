"""`repro_hydra.fingerprint`: what is seen of real trainings, without a line of them changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from trainings import STAGES, Take, Training, data, first_difference, network

import repro_hydra
from repro_hydra.fingerprint import reading as reading_module
from repro_hydra.fingerprint import steps as steps_module
from repro_hydra.fingerprint.pieces import IN_HOST
from repro_hydra.fingerprint.recorder import Fingerprints
from repro_hydra.imports import LateImports


def nudge(model: torch.nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1e-7


def nudge_gradient(model: torch.nn.Module) -> None:
    gradient = next(model.parameters()).grad
    assert gradient is not None
    gradient[0, 0] += 1e-6


def other_rate(optimizer: Any) -> None:
    optimizer.param_groups[0]["lr"] = 0.011


def test_the_same_training_has_the_same_lines(take: Take) -> None:
    """Every step, every stage; the first tells what weights it began with."""
    a, b = take(Training()), take(Training())
    assert a == b
    assert [line["step"] for line in a] == list(range(6))
    assert all(set(STAGES) < set(line) for line in a)
    assert ["initial_weights" in line for line in a] == [True, *[False] * 5]
    for stage in STAGES:
        assert len({line[stage] for line in a}) == 6
    assert set(a[0]["rng"]) == {"python", "numpy", "torch"}


@pytest.mark.parametrize("how", [{}, {"whole": True}], ids=["steps", "full"])
@pytest.mark.parametrize(
    ("stage", "spoil", "step"),
    [
        ("initial_weights", nudge, 0),
        ("loss", lambda loss: loss * (1 + 1e-6), 2),
        ("gradients", nudge_gradient, 2),
        ("optimizer", other_rate, 2),
    ],
)
def test_the_first_stage_that_differs_is_the_one_that_was_spoiled(
    take: Take, stage: str, spoil: Callable[..., Any], step: int, how: dict[str, Any]
) -> None:
    """At its step, and with all stages before it equal."""
    found_step, keys = first_difference(take(Training(), **how), take(Training(**{stage: spoil}), **how))
    assert found_step == step
    order = ["initial_weights", *STAGES]
    assert min((key for key in keys if key in order), key=order.index) == stage


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_draw_too_many_is_seen_at_its_step(take: Take, library: str) -> None:
    """The state of the library's generator, though nothing else of the step differs."""
    draw = {"numpy": np.random.rand, "torch": lambda: torch.rand(1)}[library]
    step, keys = first_difference(take(Training()), take(Training(rng=lambda *_: draw())))
    assert (step, keys) == (2, ["rng"])


def test_another_batch_is_seen(take: Take) -> None:
    """Also where only a label differs, which no module is given."""

    def relabelled() -> None:
        torch.manual_seed(3)
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        x, y = data().tensors
        y = y.clone()
        if spoiled:
            y[0] += 1
        for batch in DataLoader(TensorDataset(x, y), 12):
            functional.mse_loss(model(batch[0]), batch[0][:, :3]).backward()
            optimizer.step()

    spoiled = False
    before = take(relabelled)
    spoiled = True
    step, keys = first_difference(before, take(relabelled))
    assert (step, keys) == (0, ["batch"])


def test_without_a_loader_the_batch_is_what_goes_into_the_outermost_module(take: Take) -> None:
    """Not what modules give each other, not what a loss module is given by the model, not what is only evaluated."""

    def training(*, evaluated: float = 0.0, scale: float = 1.0) -> None:
        torch.manual_seed(3)
        model, criterion = network(), torch.nn.MSELoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        for _ in range(3):
            x = torch.ones(5, 4) * scale
            criterion(model(x), torch.zeros(5, 3)).backward()
            optimizer.step()
            with torch.no_grad():
                model(torch.full((2, 4), evaluated))

    lines = take(training)
    assert (
        len({line["batch"] for line in lines}) == 1
    )  # the same inputs at each step, with ever other weights
    assert take(lambda: training(evaluated=2.0)) == lines
    assert take(lambda: training(scale=2.0))[0]["batch"] != lines[0]["batch"]


def test_every_tensor_has_its_name_in_full(take: Take) -> None:
    """That of the module's parameter; the first that differs is the one that was changed."""
    lines = take(Training(), whole=True)
    tensors = lines[0]["tensors"]
    assert (
        set(tensors["weights"]) == set(tensors["gradients"]) == {"0.weight", "0.bias", "2.weight", "2.bias"}
    )
    assert {"0.weight.exp_avg", "2.bias.exp_avg_sq"} < set(tensors["optimizer"])
    other = take(Training(gradients=nudge_gradient), whole=True)
    assert [name for name, digest in other[2]["tensors"]["gradients"].items()
            if digest != lines[2]["tensors"]["gradients"][name]] == ["0.weight"]  # fmt: skip


def test_of_a_large_model_every_byte_has_its_turn(take: Take) -> None:
    """A step reads a bounded part; a change anywhere is seen within as many steps as there are turns."""

    def training(place: int | None = None) -> None:
        torch.manual_seed(1)
        model = torch.nn.Linear(500, 2000)  # 4 MB of weights
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        for step in range(26):
            if place is not None and step == 2:
                with torch.no_grad():
                    model.weight.view(-1)[place] += 1
            optimizer.zero_grad()
            (model.bias.sum() * 0).backward()
            optimizer.step()

    lines = take(training)
    for place in (0, 123_456, 999_999):
        step, keys = first_difference(lines, take(lambda: training(place)))  # noqa: B023 (called at once)
        assert 2 <= step < 26
        assert keys == ["weights"]


def test_a_step_reads_a_bounded_number_of_pieces(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many tensors there are; and some of each kind."""
    read: list[list[str]] = []
    original = steps_module.TorchSteps._read_pieces
    monkeypatch.setattr(
        steps_module.TorchSteps,
        "_read_pieces",
        lambda self, optimizer, pieces, taken: (
            read.append([piece.kind for piece in pieces]),
            original(self, optimizer, pieces, taken),
        ),
    )

    def training() -> None:
        model = torch.nn.Sequential(*[torch.nn.Linear(2, 2) for _ in range(60)])
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(3):
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()

    take(training)
    assert len(read) == 3
    assert max(map(len, read)) <= IN_HOST.pieces + 2  # the turns of each kind are rounded up
    assert [set(kinds) for kinds in read] == [{"gradients", "optimizer", "weights"}] * 3


def test_a_value_of_ones_own(take: Take) -> None:
    """Counted by its name, with its own step where one is given; a value that has no digest is an error of the user."""

    def training() -> None:
        for value in range(3):
            repro_hydra.fingerprint("weights", np.full(3, value))
        repro_hydra.fingerprint("other", {"a": 1.5}, step=7)
        with pytest.raises(TypeError, match="other: expected an array"):
            repro_hydra.fingerprint("other", object())

    lines = take(training)
    assert [(line["name"], line["step"]) for line in lines] == [
        ("weights", 0), ("weights", 1), ("weights", 2), ("other", 7),
    ]  # fmt: skip
    assert lines[0]["digest"] == repro_hydra.fingerprint("weights", np.zeros(3, dtype=int))


class OnDevice:
    """A tensor of the host that says that it lies elsewhere, so that it goes the way of those on a GPU."""

    def __init__(self, tensor: Any) -> None:
        self.tensor, self.is_cpu = tensor, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.tensor, name)


def test_tensors_on_a_device(take: Take, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their numbers come late and all at once; what differs is seen, and a checkpoint holds what waits."""
    plain = reading_module.plain
    monkeypatch.setattr(reading_module, "plain", lambda tensor: OnDevice(plain(tensor)))
    lines = take(Training())
    assert take(Training()) == lines
    assert all(len({line[stage] for line in lines}) == 6 for stage in STAGES)
    step, keys = first_difference(lines, take(Training(gradients=nudge_gradient)))
    assert (step, keys[0]) == (2, "gradients")

    def part(name: str, taking: Fingerprints | None, *, stop: bool = False) -> Any:
        if taking is None:
            taking = Fingerprints(tmp_path / name, lambda error: pytest.fail(str(error)))
            taking.install(LateImports().when_imported)
        x, y = data().tensors
        for start in (0, 4):  # two batches before a step: the checkpoint may fall between them
            if start not in done.setdefault(name, []):
                functional.cross_entropy(model(x[start : start + 4]), y[start : start + 4]).backward()
                done[name].append(start)
                if stop and start == 0:
                    so_far = taking.so_far()
                    taking.close()
                    return so_far
        optimizer.step()
        taking.close()
        return None

    done: dict[str, list[int]] = {}
    texts = []
    for name in ("whole", "parts"):
        torch.manual_seed(3)
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        if name == "whole":
            part(name, None)
        else:
            so_far = part(name, None, stop=True)
            taking = Fingerprints(tmp_path / name, lambda error: pytest.fail(str(error)))
            taking.pause()
            taking.go_on(so_far)  # before torch is seen
            taking.install(LateImports().when_imported)
            part(name, taking)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
