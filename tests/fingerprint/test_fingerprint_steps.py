"""`repro_hydra.fingerprint`: what is seen of real trainings, without a line of them changed."""

from __future__ import annotations

import copy
import gc
import inspect
import json
import multiprocessing
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import repro_hydra
from repro_hydra.fingerprint import feed as feed_module
from repro_hydra.fingerprint import reading as reading_module
from repro_hydra.fingerprint import steps as steps_module
from repro_hydra.fingerprint.log import FingerprintsSoFar
from repro_hydra.fingerprint.pieces import IN_HOST
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

    monkeypatch.setattr(feed_module.Feed, "_see_loss", broken)
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


# --- what programs do with their optimizers, modules and losses ---------------------------------------------


def one_step(optimizer: Any, model: Any) -> None:
    optimizer.zero_grad()
    model(torch.ones(2, 4)).sum().backward()
    optimizer.step()


def test_another_parameter_in_the_place_of_one_is_read_and_leaves_the_state_as_it_was(take: Take) -> None:
    """As in pruning and splatting: its state is handed over, and nothing of ours is put into the optimizer's."""

    def training() -> None:
        torch.manual_seed(3)
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        one_step(optimizer, model)
        old = model[0].weight
        new = torch.nn.Parameter(torch.zeros_like(old))
        optimizer.state[new] = optimizer.state.pop(old)
        optimizer.param_groups[0]["params"][0] = model[0].weight = new
        for _ in range(3):
            one_step(optimizer, model)
        kept.append(optimizer.state_dict())

    kept: list[Any] = []
    training()
    lines = take(training)
    assert set(kept[0]["state"]) == set(kept[1]["state"])
    for stage in ("weights", "optimizer"):
        assert len({line[stage] for line in lines}) == 4


@pytest.mark.parametrize("rate", [0.1, torch.tensor(0.1)])
def test_a_rate_is_seen_also_after_a_state_was_loaded_and_as_a_tensor(take: Take, rate: Any) -> None:
    """`load_state_dict` makes new groups; a schedule may change a tensor in place."""

    def training() -> None:
        model = network()
        optimizer = torch.optim.SGD(model.parameters(), lr=copy.deepcopy(rate))
        for _ in range(4):
            optimizer.step()
            optimizer.load_state_dict(optimizer.state_dict())
            optimizer.param_groups[0]["lr"] *= 0.5

    assert len({line["optimizer"] for line in take(training)}) == 4


def test_a_model_that_the_program_lets_go_of_goes(take: Take) -> None:
    """Its weights, and its optimizer's states: folds, populations and searches make many."""

    def training() -> None:
        for _ in range(3):
            model = network()
            one_step(torch.optim.Adam(model.parameters()), model)
            weights.append(weakref.ref(model[0].weight))
        del model
        gc.collect()
        alive.extend(weight() is not None for weight in weights)

    weights: list[Any] = []
    alive: list[bool] = []
    assert [line["optimizer_index"] for line in take(training)] == [0, 1, 2]
    assert alive == [False] * 3


def test_when_garbage_is_collected_changes_nothing(take: Take) -> None:
    """An optimizer in a cycle lives on for a while, or does not."""

    def training(collect: bool) -> None:
        torch.manual_seed(3)
        for _ in range(3):
            model = network()
            optimizer: Any = torch.optim.SGD(model.parameters(), lr=0.1)
            optimizer.itself = optimizer
            loss = model(torch.ones(2, 4)).sum()  # before its optimizer's next step, which may not be taken
            loss.backward()
            optimizer.step()
            one_step(optimizer, model)
            del model, optimizer, loss
            if collect:
                gc.collect()

    gc.disable()
    try:
        assert take(lambda: training(True), every=3) == take(lambda: training(False), every=3)
    finally:
        gc.enable()


def test_names_do_not_depend_on_where_things_lie(take: Take) -> None:
    """A module that is called alone and within another is named by the whole; no two have one name."""

    def training() -> None:
        torch.manual_seed(3)
        first, second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 3)
        both = torch.nn.Sequential(first, second)
        apart = torch.nn.Linear(4, 3), torch.nn.Linear(4, 3)
        optimizer = torch.optim.SGD(
            [*both.parameters(), *apart[0].parameters(), *apart[1].parameters()], lr=0.1
        )
        x = torch.ones(2, 4)
        (second(first(x)) + both(x) + apart[0](x) + apart[1](x)).sum().backward()
        optimizer.step()

    lines = [take(training, whole=True) for _ in range(4)]
    assert set(lines[0][0]["tensors"]["weights"]) == {
        "0.weight", "0.bias", "1.weight", "1.bias", "weight", "bias", "weight#2", "bias#2",
    }  # fmt: skip
    assert all(other == lines[0] for other in lines)


def test_what_has_no_memory_or_no_digest_stops_nothing(take: Take) -> None:
    """Tensors of functorch, fakes, tensors that were let go, a mapping that refuses: each counts by its type."""

    class Refusing(dict):  # type: ignore[type-arg]
        def values(self) -> Any:
            raise KeyError("no")

    def training() -> None:
        torch.manual_seed(3)
        model = network()
        optimizer = torch.optim.SGD([*model.parameters(), let_go], lr=0.1)
        torch.func.vmap(model)(torch.ones(3, 4))
        torch.func.grad(lambda x: model(x).sum())(torch.ones(4))
        with FakeTensorMode(allow_non_fake_inputs=True):
            model(torch.ones(2, 4))
        torch.nn.Linear(4, 3, device="meta")(torch.ones(2, 4, device="meta"))
        for _ in DataLoader([Refusing()], batch_size=None):
            pass
        optimizer.param_groups[0]["of_mine"] = (object(), 1)
        for _ in range(3):
            one_step(optimizer, model)

    let_go = torch.nn.Parameter(torch.ones(100))
    let_go.untyped_storage().resize_(0)
    lines = take(training)
    assert [line["step"] for line in lines] == [0, 1, 2]
    assert take(training) == lines  # and no address is in it


def test_a_loss_is_handed_on_as_it_came(take: Take) -> None:
    """A generator of losses is gone through once; an edge of a graph is none that we could read."""

    def training() -> None:
        for losses in (
            lambda y: (one for one in [y.sum()]),
            lambda y: [y.sum(), y.mean()],
            lambda y: torch.autograd.graph.get_gradient_edge(y.sum()),
        ):
            model = network()
            torch.autograd.backward(losses(model(torch.ones(2, 4))))
            gradients.append(model[0].weight.grad is not None)

    gradients: list[bool] = []
    take(training)
    assert gradients == [True] * 3


def test_no_name_of_ours_is_in_the_way_of_the_programs(take: Take) -> None:
    """Keywords of modules, and what is told of what stands in for torch's functions."""

    class Model(torch.nn.Module):
        def forward(self, x: Any, *, called: bool, optimizer: bool) -> Any:
            return x if called and optimizer else None

    def training() -> None:
        assert Model()(torch.ones(1), called=True, optimizer=True) is not None
        seen.append((torch.autograd.backward.__name__, str(inspect.signature(torch.autograd.backward))))

    seen: list[Any] = []
    training()
    take(training)
    assert seen[0] == seen[1]


class OnDevice:
    """A tensor of the host that says that it lies elsewhere, so that it goes the way of those on a GPU."""

    def __init__(self, tensor: Any) -> None:
        self.tensor, self.nbytes, self.is_cpu = tensor, tensor.nbytes, False

    def detach(self) -> Any:
        return self.tensor.detach()


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
