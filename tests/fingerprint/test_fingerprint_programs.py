"""`repro_hydra.fingerprint`: whatever a program does with torch, it is as it was without us."""

from __future__ import annotations

import copy
import gc
import inspect
import multiprocessing
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils.data import DataLoader
from trainings import STAGES, Take, Training, data, network

from repro_hydra.fingerprint import feed as feed_module


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
