"""`repro_hydra.fingerprint`: what is seen of real trainings, without a line of them changed."""

from __future__ import annotations

import copy
import json
import multiprocessing
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import repro_hydra
from repro_hydra.fingerprint import steps as steps_module
from repro_hydra.fingerprint.pieces import MOST_PIECES
from repro_hydra.fingerprint.recorder import Fingerprints
from repro_hydra.imports import LateImports

Take = Callable[..., list[dict[str, Any]]]
STAGES = ("batch", "loss", "gradients", "optimizer", "weights")


@pytest.fixture
def take(tmp_path: Path) -> Take:
    """Run a training and return its lines; whatever of ours fails is raised."""
    numbers = iter(range(100))

    def run(training: Callable[[], Any], *, may_fail: bool = False, **how: Any) -> list[dict[str, Any]]:
        path = tmp_path / f"{next(numbers)}.jsonl"
        errors: list[Exception] = []
        taking = Fingerprints(path, errors.append, **how)
        taking.install(LateImports().when_imported)
        try:
            training()
        finally:
            taking.close()
        if errors and not may_fail:
            raise errors[0]
        return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []

    return run


def network(width: int = 8) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(5)
    return TensorDataset(torch.randn(24, 4, generator=generator), torch.arange(24) % 3)


class Training:
    """A usual loop; each part of it can be spoiled at one step."""

    def __init__(self, **spoiled: Callable[..., Any]) -> None:
        self.spoiled = spoiled
        self.step = 0

    def at(self, stage: str, *given: Any) -> None:
        if stage in self.spoiled and self.step == 2:
            self.spoiled[stage](*given)

    def __call__(self) -> None:
        torch.manual_seed(3)
        np.random.seed(3)
        model = network()
        self.at_start(model)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for x, y in DataLoader(data(), 4, shuffle=True):
            self.at("rng")
            loss = functional.cross_entropy(model(x), y)
            if "loss" in self.spoiled and self.step == 2:
                loss = self.spoiled["loss"](loss)
            optimizer.zero_grad()
            loss.backward()
            self.at("gradients", model)
            self.at("optimizer", optimizer)
            optimizer.step()
            self.step += 1

    def at_start(self, model: torch.nn.Module) -> None:
        if "initial_weights" in self.spoiled:
            self.spoiled["initial_weights"](model)


def first_difference(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> tuple[int, list[str]]:
    for one, other in zip(a, b, strict=True):
        if one != other:
            return one["step"], [key for key in one if one[key] != other[key]]
    raise AssertionError("no difference")


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
    """However many tensors there are."""
    read: list[int] = []
    original = steps_module.TorchSteps._read_pieces
    monkeypatch.setattr(
        steps_module.TorchSteps,
        "_read_pieces",
        lambda self, optimizer, pieces, taken: (
            read.append(len(pieces)),
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
    assert max(read) <= MOST_PIECES


def test_closures_several_optimizers_and_their_schedules(take: Take) -> None:
    """LBFGS makes its gradients within its step; a GAN's two optimizers are counted apart."""

    def with_closure() -> None:
        torch.manual_seed(3)
        model = network()
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=2)
        x, y = data().tensors

        def closure() -> Any:
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x), y)
            loss.backward()
            return loss

        for _ in range(2):
            optimizer.step(closure)

    lines = take(with_closure)
    assert [line["step"] for line in lines] == [0, 1]
    assert all(set(STAGES) < set(line) for line in lines)

    def of_two() -> None:
        torch.manual_seed(3)
        made = [network(), network()]
        optimizers = [torch.optim.SGD(model.parameters(), lr=0.1) for model in made]
        for _ in range(2):
            for model, optimizer in zip(reversed(made), reversed(optimizers), strict=True):
                model(torch.ones(1, 4)).sum().backward()
                optimizer.step()

    lines = take(of_two)
    assert [(line["optimizer_index"], line["step"]) for line in lines] == [(1, 0), (0, 0), (1, 1), (0, 1)]


def test_only_the_process_and_thread_of_the_run_are_taken(take: Take) -> None:
    """A forked child and a thread train without a line."""

    def one_step() -> None:
        parameter = torch.nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.SGD([parameter], lr=0.1)
        parameter.grad = torch.ones(2)
        optimizer.step()

    def training() -> None:
        other = threading.Thread(target=one_step)
        other.start()
        other.join(timeout=60)
        child = multiprocessing.get_context("fork").Process(target=one_step)
        child.start()
        child.join(timeout=60)
        assert child.exitcode == 0

    assert take(training) == []


def test_an_error_of_ours_is_told_once_and_costs_no_step(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    """The training goes on to its end."""

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(steps_module, "is_taken", lambda step, _every: step != 1 or broken())
    monkeypatch.setattr(steps_module.TorchSteps, "_see_loss", broken)
    training = Training()
    with pytest.raises(ZeroDivisionError, match="of ours"):
        take(training)
    assert training.step == 6


@pytest.mark.parametrize("what", ["model", "function", "optimizer"])
def test_what_is_compiled_is_compiled_as_before(take: Take, what: str) -> None:
    """Whole, and as often: nothing of ours is in the graphs, whether a step is taken or not."""
    graphs: list[Any] = []

    def backend(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    def training() -> None:
        torch._dynamo.reset()
        torch.manual_seed(3)
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def compiled(function: Any, when: str) -> Any:
            # An optimizer's step breaks its graph itself.
            whole = when != "optimizer"
            return torch.compile(function, backend=backend, fullgraph=whole) if when == what else function

        called, step = compiled(model, "model"), compiled(optimizer.step, "optimizer")
        forward = compiled(lambda x, y: functional.cross_entropy(called(x), y), "function")
        for x, y in DataLoader(data(), 8):
            loss = forward(x, y)
            optimizer.zero_grad()
            loss.backward()
            step()

    training()
    alone = [str(graph.graph) for graph in graphs]
    graphs.clear()
    lines = take(training, every=2)
    assert [str(graph.graph) for graph in graphs] == alone
    assert alone
    assert [line["step"] for line in lines] == ([] if what == "optimizer" else [0, 2])
    assert all("batch" in line for line in lines)


def test_everything_is_put_back(take: Take) -> None:
    """What was replaced, and torch's hooks."""
    from torch.optim import optimizer

    def held() -> list[Any]:
        loader = torch.utils.data.dataloader._BaseDataLoaderIter
        return [
            torch.nn.Module.__call__, torch.autograd.backward, optimizer.Optimizer.__init__, loader.__next__,
            dict(optimizer._global_optimizer_pre_hooks), dict(optimizer._global_optimizer_post_hooks),
        ]  # fmt: skip

    before = held()
    take(Training())
    assert held() == before


def test_models_are_saved_and_copied_without_a_trace_of_ours(take: Take, tmp_path: Path) -> None:
    """A model pickled whole while fingerprints are taken holds nothing of this package."""

    def training() -> None:
        model = network()
        optimizer = torch.optim.SGD(copy.deepcopy(model).parameters(), lr=0.1)
        model(torch.ones(1, 4)).sum().backward()
        optimizer.step()
        torch.save(model, tmp_path / "model.pt")

    take(training)
    assert b"repro_hydra" not in (tmp_path / "model.pt").read_bytes()


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
