"""The loop's own rules, in this process: stopped by `request`, entered again by the same function."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import re
import resource
import signal
import threading
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from repro_hydra import CheckpointError, resumable, rng
from repro_hydra.checkpoint import preemption
from repro_hydra.checkpoint.preemption import Preempted, forget, request

Train = Callable[[Path, int], Any]


@pytest.fixture(autouse=True)
def nobody_asks() -> Iterator[None]:
    forget()
    yield
    forget()


def setting(seed: int = 0) -> tuple[nn.Module, torch.optim.Optimizer, DataLoader[Any]]:
    """What a script makes before its loop, always the same."""
    torch.manual_seed(seed), random.seed(seed), np.random.seed(seed)
    model = nn.Sequential(nn.Linear(2, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    data = TensorDataset(torch.linspace(0, 1, 22).reshape(11, 2))
    return model, torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), DataLoader(data, 2, shuffle=True)


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
    loss = (model(batch[0]) * random.random() + np.random.rand()).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def asked_at(step: int, stop_at: int) -> None:
    if step == stop_at:
        request()


class Meter:
    def __init__(self) -> None:
        self.total, self.seen = 0.0, {"batches": 0}

    def add(self, value: float) -> None:
        self.total += value
        self.seen["batches"] += 1


def with_a_function(place: Path, stop_at: int) -> Any:
    """The batches are gone through in a function of its own, called for each epoch."""

    def one_epoch(state: Any, best: float) -> float:
        total = 0.0
        meter = Meter()
        for number, batch in state.enumerate(loader, start=1):
            total += learn(model, optimizer, batch) * number
            meter.add(total)
            asked_at(state.step, stop_at)
        return min(best, total) + meter.total + meter.seen["batches"]

    model, optimizer, loader = setting()
    best, history = 1e9, []
    with resumable(model, optimizer, directory=place, name="loop") as state:
        for epoch in state.epochs(3):
            best = one_epoch(state, best)
            history.append((epoch, best))
    return best, history, model.state_dict()


class Trainer:
    """The way many write it: everything hangs on the object."""

    def __init__(self) -> None:
        self.model, self.optimizer, self.loader = setting()
        self.average = nn.Linear(2, 1)
        self.best, self.history, self.noise = 0.0, [], np.random.default_rng(3)
        self.meters = {"loss": Meter()}

    def fit(self, place: Path, stop_at: int) -> Any:
        with resumable(self.model, self.optimizer, directory=place, name="loop") as state:
            for _ in state.epochs(3):
                for batch in state.batches(self.loader):
                    loss = learn(self.model, self.optimizer, batch)
                    self.meters["loss"].add(loss)
                    self.best = max(self.best, loss * self.noise.random())
                    with torch.no_grad():
                        self.average.weight.mul_(0.9).add_(loss)
                    asked_at(state.step, stop_at)
                self.history.append(self.best)
        return self.best, self.history, self.meters["loss"].total, self.average.state_dict()


def with_an_object(place: Path, stop_at: int) -> Any:
    return Trainer().fit(place, stop_at)


def with_two_loops(place: Path, stop_at: int) -> Any:
    """A second loop over batches in each epoch; between the two something is drawn and the optimizer is changed."""
    model, optimizer, loader = setting()
    stream = rng("augment", seed=4)
    losses = []
    with resumable(model=model, optimizer=optimizer, directory=place, name="loop", every_steps=4) as state:
        for _ in state.epochs(2):
            for batch in state.batches(loader):
                losses.append(learn(model, optimizer, batch) + stream.random())
                asked_at(state.step, stop_at)
            optimizer.param_groups[0]["lr"] *= 0.5
            torch.rand(1)
            inner = rng("inner", seed=4)
            for batch in state.batches(loader):
                losses.append(model(batch[0]).sum().item() + inner.random())
                asked_at(state.step, stop_at)
    return losses, model.state_dict()


def with_steps(place: Path, stop_at: int) -> Any:
    """No loader at all: each round is a step; tensors that nobody handed over, one of them trained."""
    setting()
    weight = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([weight])
    running, rewards = torch.zeros(3), {"all": [0.0]}
    with resumable(optimizer, directory=place, name="loop", every_steps=3) as state:
        for step in state.steps(14):
            reward = (weight - torch.rand(3)).square().sum()
            optimizer.zero_grad()
            reward.backward()
            optimizer.step()
            running += weight.detach() * random.random()
            rewards["all"].append(reward.item())
            asked_at(step, stop_at)
    return weight.detach(), running, rewards


def with_a_wrapper(place: Path, stop_at: int) -> Any:
    """Entered in a context manager of the user's, which does not wait for the loop."""

    @contextlib.contextmanager
    def wrapper() -> Iterator[Any]:
        with resumable(model, optimizer, directory=place, name="loop") as state:
            yield state

    model, optimizer, loader = setting()
    total = 0.0
    with wrapper() as state:
        for _ in state.epochs(3):
            for batch in state.batches(loader):
                total += learn(model, optimizer, batch)
                asked_at(state.step, stop_at)
    return total, model.state_dict()


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(same(*pair) for pair in zip(a, b, strict=True))
    return bool(a == b)


@pytest.mark.parametrize(
    "train", [with_a_function, with_an_object, with_two_loops, with_steps, with_a_wrapper]
)
@pytest.mark.parametrize("stop_at", [0, 5, 8, 13])
def test_the_loop_ends_as_if_it_had_not_been_left(train: Train, stop_at: int, tmp_path: Path) -> None:
    """However it is written, wherever it is stopped: weights, sums, lists, meters, averages, streams."""
    expected = train(tmp_path / "whole", -1)
    with pytest.raises(Preempted):
        train(tmp_path / "left", stop_at)
    forget()
    torch.rand(3), random.random()
    assert same(train(tmp_path / "left", -1), expected)
    assert same(train(tmp_path / "left", -1), expected)  # and once more, from its end


def test_without_its_variables_a_loop_is_not_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The comparison barks: where the local variables are not kept, the sums differ."""
    from repro_hydra.session import resume

    expected = with_a_function(tmp_path / "whole", -1)
    monkeypatch.setitem(resume.resumable.__wrapped__.__kwdefaults__, "variables", False)  # type: ignore[attr-defined]
    with pytest.raises(Preempted):
        with_a_function(tmp_path / "left", 8)
    forget()
    found = with_a_function(tmp_path / "left", -1)
    assert same(found[2], expected[2])  # the weights are
    assert not same(found[:2], expected[:2])


@pytest.mark.parametrize("spoil", ["damaged", "both damaged"])
def test_a_damaged_newest_checkpoint_falls_back_on_the_one_before(
    spoil: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says so, and ends the same; with none that is whole it starts from the top."""
    expected = with_a_function(tmp_path / "whole", -1)
    with pytest.raises(Preempted):
        with_a_function(tmp_path / "left", 13)
    forget()
    kept = sorted((tmp_path / "left").iterdir())
    assert len(kept) == 2
    for path in kept if spoil == "both damaged" else kept[1:]:
        path.write_bytes(path.read_bytes()[:-1])
    assert same(with_a_function(tmp_path / "left", -1), expected)
    told = capsys.readouterr().err
    assert f"{kept[1].name}: expected the content that was written" in told
    if spoil == "damaged":
        assert f"{kept[0].name}: going on at step 12, epoch 2" in told
    assert len(list((tmp_path / "left").glob("*.ckpt"))) == 2


def test_a_checkpoint_of_another_version_is_not_thrown_away(tmp_path: Path) -> None:
    with pytest.raises(Preempted):
        with_a_function(tmp_path, 3)
    forget()
    from repro_hydra.checkpoint.file import Header, write_checkpoint

    write_checkpoint(tmp_path / "000009-loop.ckpt", Header(format=2, name="loop"), {})
    with pytest.raises(CheckpointError, match="expected a checkpoint of format 1, found format 2"):
        with_a_function(tmp_path, -1)


def test_another_model_or_another_function_is_told(tmp_path: Path) -> None:
    with pytest.raises(Preempted):
        with_a_function(tmp_path, 3)
    forget()
    model = nn.Linear(9, 9)
    with (
        pytest.raises(CheckpointError, match="expected a checkpoint of"),
        resumable(model, directory=tmp_path, name="loop"),
    ):
        pass
    model, optimizer, loader = setting()

    def other_function() -> None:
        with resumable(model, optimizer, directory=tmp_path, name="loop") as state:
            for _ in state.epochs(3):
                for _ in state.batches(loader):
                    pass

    def no_batches() -> None:
        with resumable(model, optimizer, directory=tmp_path, name="loop") as state:
            for _ in state.epochs(3):
                pass

    with pytest.raises(CheckpointError, match=r"expected the loop within .*one_epoch.*, found it within"):
        other_function()
    with pytest.raises(CheckpointError, match="this epoch ended without it: the code differs"):
        no_batches()


def test_loops_that_cannot_be_continued_are_refused(tmp_path: Path) -> None:
    model, _, loader = setting()
    with (
        pytest.raises(ValueError, match="expected to be in a run, or to be given a directory"),
        resumable(model),
    ):
        pass
    with (
        pytest.raises(CheckpointError, match=r"0:function: expected an object"),
        resumable(learn, directory=tmp_path),
    ):
        pass
    with resumable(model, directory=tmp_path) as state:
        list(state.batches(loader))
        with pytest.raises(RuntimeError, match="found a second"):
            state.batches(loader)
    with resumable(model, directory=tmp_path) as state:
        for _ in state.epochs(1):
            with pytest.raises(RuntimeError, match="found another one within it"):
                next(state.epochs(1))
    for wrong in ({"every_steps": 0}, {"every_s": -1.0}, {"keep": 0}):
        with pytest.raises(ValueError, match="expected"), resumable(model, directory=tmp_path, **wrong):  # type: ignore[arg-type]
            pass


def test_what_would_not_go_on_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A counter around the batches begins anew; workers that live on keep a state; a stream made in a round too."""
    model, _, loader = setting()
    held = []
    with resumable(model, directory=tmp_path) as state:
        for epoch in state.epochs(3):
            if epoch == 0:
                held.append(rng("lazy", seed=0))
            for _number, _batch in enumerate(state.batches(loader)):
                pass
    told = capsys.readouterr().err
    assert told.count("write state.enumerate(loader)") == 1
    assert told.count("rng('lazy')") == 1
    data = TensorDataset(torch.zeros(4))
    with resumable(model, directory=tmp_path) as state:
        for _ in state.batches(DataLoader(data, num_workers=1, persistent_workers=True)):
            pass
    assert "persistent_workers=True" in capsys.readouterr().err


def test_large_arrays_that_do_not_change_are_not_written(tmp_path: Path) -> None:
    """The data of a loop lives in its function too; one that the loop changes is kept."""
    for name, changes in (("same", False), ("changed", True)):
        model = nn.Linear(1, 1)
        data, table = torch.rand(600_000), np.random.rand(600_000)
        with resumable(model, directory=tmp_path / name) as state:
            for epoch in state.epochs(1):
                if changes:
                    data[epoch] += 1
                float(data[3]), float(table[3])
        size = next((tmp_path / name).iterdir()).stat().st_size
        assert (size > 2_000_000) is changes
        assert size < 4_000_000
        float(data[3])  # read after the loop: alive


def test_no_batch_outlives_its_step(tmp_path: Path) -> None:
    """Nor does a frame: pinned memory left in a circle would be let go in a worker that is forked later, and end it."""

    class Batch:
        pass

    made: list[weakref.ref[Batch]] = []
    living: list[int] = []

    def batches() -> Iterator[Batch]:
        for _ in range(3):
            batch = Batch()
            made.append(weakref.ref(batch))
            handed = [batch]
            del batch
            yield handed.pop()
            living.append(sum(reference() is not None for reference in made))

    def train(cfg: Any) -> None:
        with resumable(directory=tmp_path, every_steps=1) as state:
            for _ in state.epochs(2):
                for batch in state.batches(batches()):
                    assert cfg.lr
                    del batch

    def frames() -> int:
        return sum(type(each) is types.FrameType for each in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = frames()
        train(OmegaConf.create({"lr": 0.1}, flags={"struct": True}))
        left = frames() - before
    finally:
        gc.enable()
    assert list(tmp_path.glob("*.ckpt"))
    assert living == [0] * 6
    assert left <= 0


def test_the_signals_are_heard_within_the_loop_only(tmp_path: Path) -> None:
    """Before and after the handlers are what they were; a second signal changes nothing."""
    heard: list[int] = []

    def struck() -> None:
        with resumable(nn.Linear(1, 1), directory=tmp_path) as state:
            for _ in state.epochs(3):
                os.kill(os.getpid(), signal.SIGUSR1)
                os.kill(os.getpid(), signal.SIGUSR2)

    before = signal.signal(signal.SIGUSR1, lambda number, _frame: heard.append(number))
    try:
        with pytest.raises(Preempted) as ended:
            struck()
        assert (ended.value.reason, ended.value.code, heard) == ("SIGUSR1", 128 + signal.SIGUSR1, [])
        assert preemption.requested() == "SIGUSR1"
        os.kill(os.getpid(), signal.SIGUSR1)
        assert heard == [signal.SIGUSR1]
    finally:
        signal.signal(signal.SIGUSR1, before)


class Evaluation:
    """What may follow a loop within its `with`: it is told to end while it is at it."""

    def __init__(self, place: Path) -> None:
        self.place, self.seen = place, [0]
        self.passed = False

    def run(self, loop: Callable[[Any], Any], struck: Any = signal.SIGTERM) -> None:
        with resumable(seen=self.seen, directory=self.place, name="loop") as state:
            for _ in loop(state):
                self.seen[0] += 1
                if self.seen[0] == 7:
                    break
            if struck is not None:
                os.kill(os.getpid(), struck)
                assert self.passed, "the evaluation goes on"


def test_who_is_told_to_end_behind_the_last_step_ends_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No boundary comes any more, so there is nothing to wait for; started again it is where it was."""
    for name, loop, stands in (
        ("epochs", lambda state: state.epochs(3), 3),
        ("batches", lambda state: state.batches([1, 2]), 2),
        ("left", lambda state: state.epochs(9), 7),
    ):
        forget()
        evaluation = Evaluation(tmp_path / name)
        with pytest.raises(Preempted) as ended:
            evaluation.run(loop)
        assert (ended.value.code, evaluation.seen) == (143, [stands]), name
        told = capsys.readouterr().err
        at = {
            "epochs": "step 0, epoch 3",
            "batches": "step 2, epoch 0, 2 batches into it",
            "left": "step 0, epoch 6",
        }
        words = f"after the last step of the loop; it goes on from the checkpoint at {at[name]}; the process ends here"
        assert f"SIGTERM: {words}" in told
        forget()
        again = Evaluation(tmp_path / name)
        again.run(loop, struck=None)
        assert again.seen == [stands]


class AskedWhileSaved:
    """Whoever wants the process away comes while the `number`-th state is taken."""

    def __init__(self, number: int) -> None:
        self.left = number

    def state_dict(self) -> dict[str, Any]:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGUSR2)
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


def test_who_is_told_to_end_during_the_last_checkpoint_ends_behind_it(tmp_path: Path) -> None:
    """The note was left when the last boundary had been decided on already."""

    def train() -> None:
        with resumable(odd=AskedWhileSaved(4), directory=tmp_path) as state:  # one on entry, one each epoch
            for _ in state.epochs(3):
                pass
            raise AssertionError("the evaluation goes on")

    with pytest.raises(Preempted) as ended:
        train()
    assert ended.value.reason == "SIGUSR2"
    assert [path.name for path in sorted(tmp_path.iterdir())][-1] == "000003-loop1.ckpt"


def test_a_loop_that_has_ended_does_not_end_the_loop_around_it(tmp_path: Path) -> None:
    """The one around comes to its boundary yet; and so does a second loop of the same state."""
    done: list[str] = []

    def one_within_another() -> None:
        with resumable(directory=tmp_path, name="outer") as outer:
            for _ in outer.epochs(2):
                with resumable(directory=tmp_path, name="inner") as inner:
                    for _ in inner.steps(2):
                        pass
                    os.kill(os.getpid(), signal.SIGTERM)
                    done.append("inner")
                done.append("outer")

    def one_after_another() -> None:
        with resumable(directory=tmp_path, name="twice") as state:
            for _ in state.epochs(1):
                done.append("first")
            for _ in state.epochs(3):
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("second")

    for train, expected in (
        (one_within_another, ["inner", "outer"]),
        (one_after_another, ["first", "second"]),
    ):
        forget()
        done.clear()
        with pytest.raises(Preempted):
            train()
        assert done == expected
    assert len(list(tmp_path.glob("*-outer.ckpt"))) == 1
    assert len(list(tmp_path.glob("*-twice.ckpt"))) == 2


def test_no_warning_is_raised(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with_a_function(tmp_path, -1)


def test_an_iterator_and_an_environment_of_the_loop_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They go on by themselves, and nobody can ask them where they stand."""

    class Environment:
        def reset(self) -> None: ...

        def step(self) -> float:
            return 1.0

    class Schedule:
        """Its state holds what no checkpoint can: a thing of a class of its own."""

        factor = 1.0

        def state_dict(self) -> dict[str, Any]:
            return {"by": self}

        def load_state_dict(self, state: dict[str, Any]) -> None: ...

    Environment.__module__ = "gymnasium.core"  # somebody else's: its attributes are not ours to keep
    model, _, loader = setting()
    endless, world, schedule, total = iter(loader), Environment(), Schedule(), 0.0
    with resumable(model, directory=tmp_path) as state:
        for _ in state.steps(2):
            total += schedule.factor * world.step() + next(endless)[0].sum().item()
    told = capsys.readouterr().err
    assert told.count("endless (_SingleProcessDataLoaderIter): no checkpoint can hold") == 1
    assert told.count("world (Environment)") == 1
    assert told.count("schedule (Schedule)") == 1
    assert len(list(tmp_path.iterdir())) == 1  # steps are no epochs: one at the end


def test_what_cannot_be_kept_is_told_on_entry(tmp_path: Path) -> None:
    """Not after the first epoch."""

    class Odd:
        def state_dict(self) -> dict[str, Any]:
            return {"lock": object()}

        def load_state_dict(self, state: dict[str, Any]) -> None: ...

    with (
        pytest.raises(CheckpointError, match=r"odd\.lock: expected tensors"),
        resumable(odd=Odd(), directory=tmp_path),
    ):
        pass


class TurnsOdd:
    """Its state is plain on entry, and later none that a checkpoint can hold, or none at all."""

    def __init__(self, later: Callable[[], Any]) -> None:
        self.later: Callable[[], Any] | None = None
        self._then = later

    def turn(self) -> None:
        self.later = self._then

    def state_dict(self) -> dict[str, Any]:
        return {"lock": 0 if self.later is None else self.later()}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@contextlib.contextmanager
def no_file_longer_than(size_bytes: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("place taken", "File exists"),
        ("disk full at once", "File too large"),
        ("disk full within torch.save", "File too large"),
        (
            "no plain state",
            r"odd\.lock: expected tensors, numbers, text, lists or dicts, found _thread\.lock",
        ),
        ("state_dict raises", "no state today"),
    ],
)
def test_a_checkpoint_that_cannot_be_written_ends_no_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], failure: str, reason: str
) -> None:
    """It is said each time, why; the loop comes to its end, and the checkpoint before stays."""

    def raises() -> None:
        raise RuntimeError("no state today")

    done: list[int] = []
    odd = TurnsOdd(raises if failure == "state_dict raises" else threading.Lock)
    size = {"disk full at once": 50, "disk full within torch.save": 5000}.get(failure)
    with contextlib.ExitStack() as stack:
        state = stack.enter_context(
            resumable(nn.Linear(64, 64), odd=odd, directory=tmp_path / "place", name="loop")
        )
        for epoch in state.epochs(3):
            done.append(epoch)
            if epoch == 1 and size is not None:
                stack.enter_context(no_file_longer_than(size))
            elif epoch == 1 and failure == "place taken":
                (tmp_path / "place").rename(tmp_path / "before")
                (tmp_path / "place").touch()
            elif epoch == 1:
                odd.turn()
    assert done == [0, 1, 2]
    told = capsys.readouterr().err
    assert len(re.findall(rf"the checkpoint of .* could not be written \({reason}", told)) == 2, told
    kept = [path.name for place in ("place", "before") for path in (tmp_path / place).glob("*")]
    assert kept == ["000001-loop.ckpt"]


def test_who_is_told_to_end_ends_also_without_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And is told that there is none."""
    odd = TurnsOdd(threading.Lock)

    def train() -> None:
        with resumable(odd=odd, directory=tmp_path) as state:
            for _ in state.epochs(3):
                odd.turn()
                request("TEST")

    with pytest.raises(Preempted):
        train()
    assert "TEST: no checkpoint could be made; the process ends here" in capsys.readouterr().err


def test_layers_held_twice_are_kept_once(tmp_path: Path) -> None:
    """A list of parameters, and an object that holds itself."""
    model = nn.Linear(100, 1000)

    class Own:
        def __init__(self) -> None:
            self.me, self.layers, self.count = self, [model], 0

    parameters, own = list(model.parameters()), Own()
    with resumable(model, directory=tmp_path) as state:
        for _ in state.epochs(1):
            own.count += len(parameters)
        assert own.count == 2
        assert parameters
    assert next(tmp_path.iterdir()).stat().st_size < 500_000
