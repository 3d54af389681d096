"""`verify_determinism`: the same batches, the same state, computed twice and compared bit by bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from repro_hydra.model.differences import FirstDifference, compare_trees, holds_something
from repro_hydra.model.subject import Called, Forward, Loss, State, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class DeterminismReport:
    """Whether a model computes the same twice. True where it does."""

    deterministic: bool
    steps: int
    """How many were compared in full."""
    compared: tuple[str, ...]
    """The stages that were compared at each step."""
    first: FirstDifference | None = None

    def __bool__(self) -> bool:
        return self.deterministic

    def __str__(self) -> str:
        if self.first is not None:
            return f"not deterministic: {self.first}"
        return f"the same in all {self.steps} steps ({', '.join(self.compared)})"


def verify_determinism(
    model_or_fn: nn.Module | Callable[[Any], Any],
    loader: Iterable[Any],
    num_steps: int | None = None,
    *,
    steps: int = 10,
    loss: Loss | None = None,
    optimizer: torch.optim.Optimizer | None = None,
    forward: Forward | None = None,
    train: bool = True,
    repeats: int = 2,
    rtol: float = 0.0,
    atol: float = 0.0,
) -> DeterminismReport:
    """Compute each step `repeats` times from the same state, and say what first differed.

    Compared are the batches that the loader gives when it is gone through again, the output in evaluation mode, and
    of a training step its output, loss, gradients, and the weights and buffers after the optimizer's step. Afterwards
    parameters, buffers, gradients, optimizer, modes, plain attributes of the modules and all generators are what they
    were.

    Parameters
    ----------
    model_or_fn : Module or callable
        Of a plain function only ``model_or_fn(batch)`` is compared.
    loader : iterable of batches
        Of a tuple or list the first item is the model's input, a mapping is its keyword arguments; anything else is
        the input. Of an iterator, which can be gone through once, the batches themselves are not compared.
    num_steps : int, optional
        `steps` by the name and in the place that the guide has for it.
    steps : int
        At most so many batches.
    loss : callable, optional
        ``loss(output, batch)``, a tensor of one element; by default the mean square of the output.
    optimizer : Optimizer, optional
        By default plain gradient descent, on a throw-away state.
    forward : callable, optional
        ``forward(model, batch)`` in place of the rule for `loader`.
    train : bool
        Whether training steps are compared too.
    repeats : int
        From 2. A race may give the same bits twice by chance.
    rtol, atol : float
        Tolerated; 0 means the same bits (a NaN is equal to itself, 0.0 is not -0.0).

    Raises
    ------
    ValueError
        Without a batch or a step, with fewer than two repeats, or where a plain function gives nothing that could be
        compared.
    """
    steps = steps if num_steps is None else num_steps
    if steps < 1:
        raise ValueError(f"steps: expected at least 1, found {steps}")
    if repeats < 2:
        raise ValueError(f"repeats: expected at least 2, found {repeats}")
    batches, difference = _batches_twice(loader, steps, rtol, atol)
    if difference is not None:
        return DeterminismReport(deterministic=False, steps=0, compared=("batch",), first=difference)
    if not batches:
        raise ValueError("loader: expected at least one batch, found none")
    if not isinstance(model_or_fn, nn.Module):
        subject: Subject | Called = Called(model_or_fn)
    else:
        subject = Subject(model_or_fn, loss, optimizer, forward, train)
    once = isinstance(loader, Iterator)
    stages = tuple(stage for stage in subject.stages if stage != "batch" or not once)
    put_back = subject.state.take(attributes=True)
    any_compared = False
    try:
        for number, batch in enumerate(batches):
            first, compared = _repeated(subject, batch, number, repeats, rtol, atol)
            any_compared = any_compared or compared
            if first is not None:
                return DeterminismReport(deterministic=False, steps=number, compared=stages, first=first)
    finally:
        put_back()
    if not any_compared:
        raise ValueError(
            "model_or_fn: expected something to compare, found that it gives nothing back in any step"
        )
    return DeterminismReport(deterministic=True, steps=len(batches), compared=stages)


def _repeated(
    subject: Subject | Called,
    batch: Any,
    number: int,
    repeats: int,
    rtol: float,
    atol: float,
) -> tuple[FirstDifference | None, bool]:
    """One step, again and again from the same state; the state after the last is where the next begins.

    Also whether there was anything to compare.
    """
    again = subject.state.take()
    kept = [(stage, copy.deepcopy(_detached(value))) for stage, value in subject.step(copy.deepcopy(batch))]
    for _ in range(repeats - 1):
        again()
        for (stage, before), (_, value) in zip(kept, subject.step(copy.deepcopy(batch)), strict=True):
            difference = compare_trees(before, _detached(value), number, stage, rtol, atol)
            if difference is not None:
                return difference, True
    return None, any(holds_something(value) for _, value in kept)


def _batches_twice(
    loader: Iterable[Any], steps: int, rtol: float, atol: float
) -> tuple[list[Any], FirstDifference | None]:
    """The first batches, and where the loader gives others when it is gone through again."""
    state = State(None, None, loader)
    put_back = state.take()
    first = [copy.deepcopy(batch) for _, batch in zip(range(steps), loader, strict=False)]
    put_back()
    if isinstance(loader, Iterator):
        return first, None  # it can be gone through once: there is no second time to compare
    second = [batch for _, batch in zip(range(steps), loader, strict=False)]
    put_back()
    for number, pair in enumerate(zip(first, second, strict=False)):
        difference = compare_trees(*pair, number, "batch", rtol, atol)
        if difference is not None:
            return first, difference
    if len(first) != len(second):
        number = min(len(first), len(second))
        return first, FirstDifference(
            step=number, stage="batch", tensor="", detail="one time there is no batch"
        )
    return first, None


def _detached(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, Mapping):
        return {key: _detached(item) for key, item in value.items()}
    return [_detached(item) for item in value] if isinstance(value, (tuple, list)) else value
