"""`verify_determinism`: what computes the same twice passes, what does not is named by step, stage and tensor."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from repro_hydra import verify_determinism

X = torch.linspace(-1, 1, 60).reshape(20, 3)
Y = torch.arange(20) % 2


def loader(shuffle: bool = True) -> DataLoader[tuple[torch.Tensor, ...]]:
    return DataLoader(TensorDataset(X, Y), 4, shuffle=shuffle)


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))


def loss(output: torch.Tensor, batch: list[torch.Tensor]) -> torch.Tensor:
    return nn.functional.cross_entropy(output, batch[1])


def test_an_ordinary_model_passes_and_everything_is_put_back() -> None:
    """With dropout, running statistics, a shuffling loader and Adam; afterwards all of it is as it was."""
    net = model()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    loss(net(X), [X, Y]).backward()
    optimizer.step()
    net[0].eval()
    random.seed(1)
    np.random.seed(2)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    moments = {k: v["exp_avg"].clone() for k, v in optimizer.state_dict()["state"].items()}
    gradients = [parameter.grad.clone() for parameter in net.parameters() if parameter.grad is not None]
    states = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    report = verify_determinism(net, loader(), steps=4, loss=loss, optimizer=optimizer)
    assert report, str(report)
    assert (report.steps, report.first) == (4, None)
    assert report.compared == ("batch", "output", "training output", "loss", "gradient", "weights", "buffers")
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert all(torch.equal(v["exp_avg"], moments[k]) for k, v in optimizer.state_dict()["state"].items())
    assert all(torch.equal(p.grad, g) for p, g in zip(net.parameters(), gradients, strict=True))
    assert [part.training for part in net] == [False, True, True, True]
    assert random.getstate() == states[0]
    assert np.random.get_state()[1].tolist() == states[1]
    assert torch.equal(torch.get_rng_state(), states[2])


def test_a_race_in_the_gradient_is_found() -> None:
    """Two threads add into the same places in any order (the backward of indexing), unless told not to."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)

    class Lookup(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.linspace(0, 1, 64 * 8).reshape(64, 8) ** 3)

        def forward(self, index: torch.Tensor) -> torch.Tensor:
            return self.table[index] * torch.linspace(1e-3, 1e3, index.numel())[:, None]

    indices = [torch.arange(200_000) * 7919 % 64]
    try:
        report = verify_determinism(Lookup(), indices, repeats=6)
        assert not report
        assert report.first is not None
        assert (report.first.step, report.first.stage, report.first.tensor) == (0, "gradient", "table")
        assert report.first.max_abs is not None
        assert report.first.max_abs > 0
        torch.use_deterministic_algorithms(True)
        assert verify_determinism(Lookup(), indices, repeats=6)
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(before)


def test_a_model_that_counts_its_calls_is_found() -> None:
    """Its state is in no state_dict; its count is put back all the same."""

    class Counting(nn.Linear):
        calls = 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x) * self.calls

    net = Counting(3, 2)
    net.calls = 5
    report = verify_determinism(net, loader(), steps=2)
    assert report.first is not None
    assert (report.first.step, report.first.stage) == (0, "output")
    assert "8 of 8 values differ" in str(report)
    assert net.calls == 5


def test_a_loader_that_gives_other_batches_is_found() -> None:
    """Its order comes from a generator that it keeps to itself."""

    class Restless:
        def __init__(self) -> None:
            self._own = random.Random(0)

        def __iter__(self) -> Iterator[torch.Tensor]:
            for _ in range(3):
                yield torch.tensor([self._own.random()])

    report = verify_determinism(lambda batch: batch, Restless())
    assert report.first is not None
    assert (report.first.step, report.first.stage) == (0, "batch")
    shorter = iter([[1.0, 2.0], [1.0]])

    class Shrinking:
        def __iter__(self) -> Iterator[float]:
            return iter(next(shorter))

    report = verify_determinism(lambda batch: batch, Shrinking())
    assert report.first is not None
    assert (report.first.step, report.first.detail) == (1, "one time there is no batch")


def test_a_loader_with_a_generator_of_its_own_is_rewound() -> None:
    """It draws the same order both times, and is where it was afterwards."""
    generator = torch.Generator().manual_seed(3)
    data = DataLoader(TensorDataset(X, Y), 4, shuffle=True, generator=generator)
    before = generator.get_state()
    assert verify_determinism(model(), data, loss=loss)
    assert torch.equal(generator.get_state(), before)


def test_plain_functions_are_compared_by_what_they_return() -> None:
    """With the same generators each time: only what they do not follow from makes a difference."""
    assert verify_determinism(lambda batch: {"a": np.random.rand(3), "b": [random.random(), "text"]}, [1, 2])
    counter = itertools.count()
    report = verify_determinism(lambda batch: {"same": batch, "count": next(counter)}, [1, 2])
    assert report.first is not None
    assert (report.first.tensor, report.first.detail) == ("count", "0 and 1")


def test_a_tolerance_is_an_option() -> None:
    """Bitwise by default: the sign of zero counts; within the tolerance it passes."""
    signs = itertools.cycle([0.0, -0.0])
    assert not verify_determinism(lambda batch: torch.tensor([next(signs)]), [1])
    sizes = itertools.count(1)
    shaky = lambda batch: torch.tensor([1.0 + 1e-6 * next(sizes)])  # noqa: E731
    report = verify_determinism(shaky, [1])
    assert report.first is not None
    assert report.first.max_rel == pytest.approx(1e-6, rel=0.2)
    assert verify_determinism(shaky, [1], rtol=1e-4)
    assert verify_determinism(lambda batch: torch.tensor([float("nan")]), [1])


def test_what_can_be_gone_through_once_is_not_called_compared() -> None:
    report = verify_determinism(lambda batch: batch, iter([torch.ones(2)]))
    assert (report.deterministic, report.compared) == (True, ("output",))
    assert verify_determinism(lambda batch: batch, [torch.ones(2)]).compared == ("batch", "output")


def test_misuse_is_told() -> None:
    with pytest.raises(ValueError, match="at least one batch"):
        verify_determinism(model(), [])
    for nothing in (None, {}, [None, {"a": None}]):
        with pytest.raises(ValueError, match="something to compare"):
            verify_determinism(lambda _, nothing=nothing: nothing, [torch.ones(2)])
    with pytest.raises(ValueError, match="repeats"):
        verify_determinism(model(), loader(), repeats=1)
    with pytest.raises(ValueError, match="steps: expected at least 1, found 0"):
        verify_determinism(model(), loader(), steps=0)


def test_a_call_as_the_guide_has_it_works() -> None:
    """``verify_determinism(model, dataloader, num_steps=10)``, its last argument by name or by place."""
    batches = [torch.ones(2)] * 5
    assert verify_determinism(lambda batch: batch, batches, num_steps=3).steps == 3
    assert verify_determinism(lambda batch: batch, batches, 2).steps == 2
