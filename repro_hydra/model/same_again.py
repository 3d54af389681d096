"""`verify_determinism`: the same batches, the same state, computed twice and compared bit by bit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from repro_hydra.model.differences import FirstDifference, compare_trees
from repro_hydra.random_states import take_states

Forward = Callable[[nn.Module, Any], Any]
Loss = Callable[[Any, Any], torch.Tensor]
_PLAIN = (bool, int, float, str, bytes, type(None))


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
        the input.
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
        Without a batch, or with fewer than two repeats.
    """
    if repeats < 2:
        raise ValueError(f"repeats: expected at least 2, found {repeats}")
    batches, difference = _batches_twice(loader, steps, rtol, atol)
    if difference is not None:
        return DeterminismReport(deterministic=False, steps=0, compared=("batch",), first=difference)
    if not batches:
        raise ValueError("loader: expected at least one batch, found none")
    if not isinstance(model_or_fn, nn.Module):
        subject: _Subject | _Called = _Called(model_or_fn)
    else:
        subject = _Subject(model_or_fn, loss, optimizer, forward, train)
    put_back = subject.state.take(attributes=True)
    try:
        for number, batch in enumerate(batches):
            first = _repeated(subject, batch, number, repeats, rtol, atol)
            if first is not None:
                stages = subject.stages
                return DeterminismReport(deterministic=False, steps=number, compared=stages, first=first)
    finally:
        put_back()
    return DeterminismReport(deterministic=True, steps=len(batches), compared=subject.stages)


def _repeated(
    subject: _Subject | _Called,
    batch: Any,
    number: int,
    repeats: int,
    rtol: float,
    atol: float,
) -> FirstDifference | None:
    """One step, again and again from the same state; the state after the last is where the next begins."""
    again = subject.state.take()
    kept = [(stage, copy.deepcopy(_detached(value))) for stage, value in subject.step(copy.deepcopy(batch))]
    for _ in range(repeats - 1):
        again()
        for (stage, before), (_, value) in zip(kept, subject.step(copy.deepcopy(batch)), strict=True):
            difference = compare_trees(before, _detached(value), number, stage, rtol, atol)
            if difference is not None:
                return difference
    return None


def _batches_twice(
    loader: Iterable[Any], steps: int, rtol: float, atol: float
) -> tuple[list[Any], FirstDifference | None]:
    """The first batches, and where the loader gives others when it is gone through again."""
    state = _State(None, None, loader)
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


class _Called:
    """A plain function: what it returns is all that can be compared."""

    stages = ("batch", "output")

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self.state = _State(None, None)

    def step(self, batch: Any) -> Iterator[tuple[str, Any]]:
        yield "output", self._function(batch)


class _Subject:
    """A model with what is done to it in a step."""

    def __init__(
        self,
        model: nn.Module,
        loss: Loss | None,
        optimizer: torch.optim.Optimizer | None,
        forward: Forward | None,
        train: bool,
    ) -> None:
        self._model = model
        self._loss = loss or _mean_square
        self._forward = forward or _called_with
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._trains = train and bool(trained)
        if optimizer is None and self._trains:
            optimizer = torch.optim.SGD(trained, lr=1e-2)
        self._optimizer = optimizer
        self.state = _State(model, optimizer)
        training = ("training output", "loss", "gradient", "weights", "buffers") if self._trains else ()
        self.stages = ("batch", "output", *training)

    def step(self, batch: Any) -> Iterator[tuple[str, Any]]:
        """Stage by stage, what came out of it."""
        model = self._model
        model.eval()
        with torch.no_grad():
            yield "output", self._forward(model, batch)
        if not self._trains:
            return
        assert self._optimizer is not None
        model.train()
        self._optimizer.zero_grad()
        output = self._forward(model, batch)
        yield "training output", output
        loss = self._loss(output, batch)
        yield "loss", loss
        loss.backward()  # type: ignore[no-untyped-call]
        yield "gradient", {name: parameter.grad for name, parameter in model.named_parameters()}
        self._optimizer.step()
        yield "weights", dict(model.named_parameters())
        yield "buffers", dict(model.named_buffers())


class _State:
    """All that a step reads and changes."""

    def __init__(
        self, model: nn.Module | None, optimizer: torch.optim.Optimizer | None, loader: Any = None
    ) -> None:
        self._model = model
        self._optimizer = optimizer
        holders = (loader, getattr(loader, "sampler", None), getattr(loader, "batch_sampler", None))
        found = (getattr(holder, "generator", None) for holder in holders)
        self._generators = [generator for generator in found if isinstance(generator, torch.Generator)]

    def take(self, *, attributes: bool = False) -> Callable[[], None]:
        """Note it; what comes back restores it, as often as it is called.

        Parameters
        ----------
        attributes : bool
            Plain attributes of the modules too. Not between two computations: a model that counts its calls, and
            computes by the count, is not deterministic.
        """
        random = take_states()
        own = [(generator, generator.get_state()) for generator in self._generators]
        tensors, modules = self._of_the_model()
        optimizer = copy.deepcopy(self._optimizer.state_dict()) if self._optimizer is not None else None

        def put_back() -> None:
            with torch.no_grad():
                for tensor, values, grad in tensors:
                    tensor.copy_(values)
                    tensor.grad = None if grad is None else grad.clone()
            for module, training, plain in modules:
                module.training = training
                if attributes:
                    vars(module).update(plain)
            if self._optimizer is not None and optimizer is not None:
                self._optimizer.load_state_dict(copy.deepcopy(optimizer))
            for generator, state in own:
                generator.set_state(state)
            random()

        return put_back

    def _of_the_model(
        self,
    ) -> tuple[list[tuple[Any, Any, Any]], list[tuple[nn.Module, bool, dict[str, Any]]]]:
        if self._model is None:
            return [], []
        tensors = [
            (tensor, tensor.detach().clone(), None if tensor.grad is None else tensor.grad.detach().clone())
            for tensor in (*self._model.parameters(), *self._model.buffers())
        ]
        modules = [
            (module, module.training, {k: v for k, v in vars(module).items() if type(v) in _PLAIN})
            for module in self._model.modules()
        ]
        return tensors, modules


def _called_with(model: nn.Module, batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return model(**batch)
    return model(batch[0] if isinstance(batch, (tuple, list)) else batch)


def _mean_square(output: Any, _batch: Any) -> torch.Tensor:
    """Of all floating-point tensors in the output, or the loss that it already holds (as Hugging Face's models)."""
    given = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
    if isinstance(given, torch.Tensor):
        return given
    parts = [tensor.float().square().mean() for tensor in _tensors(output) if tensor.is_floating_point()]
    if not parts:
        raise ValueError("loss: expected a function, since the output holds no floating-point tensor")
    return torch.stack(parts).sum()


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)


def _detached(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.detach()
    if isinstance(value, Mapping):
        return {key: _detached(item) for key, item in value.items()}
    return [_detached(item) for item in value] if isinstance(value, (tuple, list)) else value
