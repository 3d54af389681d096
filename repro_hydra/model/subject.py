"""What is computed twice: a model with what is done to it in a step, and all that such a step reads and changes."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from repro_hydra.random_states import take_states

Forward = Callable[[nn.Module, Any], Any]
Loss = Callable[[Any, Any], torch.Tensor]
_PLAIN = (bool, int, float, str, bytes, type(None))


class Called:
    """A plain function: what it returns is all that can be compared."""

    stages = ("batch", "output")

    def __init__(self, function: Callable[[Any], Any]) -> None:
        self._function = function
        self.state = State(None, None)

    def step(self, batch: Any) -> Iterator[tuple[str, Any]]:
        yield "output", self._function(batch)


class Subject:
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
        self.state = State(model, optimizer)
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


class State:
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
