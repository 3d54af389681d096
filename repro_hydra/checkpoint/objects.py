"""The state of what a loop trains with: models, optimizers, schedulers, scalers, generators, plain dicts and lists."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from repro_hydra.checkpoint import generators
from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.plain import from_plain, to_plain

_NAMED_AT_MOST = 5
_LIKE_THE_PARAMETER = {"exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer"}
"""Of an optimizer's state; torch itself looks at no shape there, and fails at the first step."""


def check_objects(objects: Mapping[str, Any]) -> None:
    """Refuse what has no state to be kept.

    Raises
    ------
    CheckpointError
        Naming it.
    """
    for name, value in objects.items():
        if not _kind(value):
            raise CheckpointError(
                f"{name}: expected an object with state_dict() and load_state_dict(), a random generator, a dict or a "
                f"list, found {type(value).__name__}"
            )


def take(objects: Mapping[str, Any], *, gradients: bool = True) -> dict[str, Any]:
    """The state of each, as plain data. It shares memory with the objects: write it before they go on."""
    taken: dict[str, Any] = {}
    for name, value in objects.items():
        kind = _kind(value)
        if kind == "generator":
            taken[name] = {"generator": generators.take(value)}
        elif kind == "plain":
            taken[name] = {"plain": to_plain(value, name)}
        else:
            entry = {"state": to_plain(value.state_dict(), name)}
            if isinstance(value, nn.Module):
                entry |= beside_the_weights(value, gradients)
            taken[name] = entry
    return taken


def put(objects: Mapping[str, Any], taken: Mapping[str, Any]) -> None:
    """Give each object the state that `take` found. All are looked at before the first is touched.

    Raises
    ------
    CheckpointError
        Where the checkpoint is of other objects, or of another shape.
    """
    _compare_names(objects, taken)
    for name, value in objects.items():
        _compare(name, value, taken[name])
    for name, value in objects.items():
        entry = taken[name]
        kind = _kind(value)
        if kind == "generator":
            generators.put(value, entry["generator"])
        elif kind == "plain":
            fill(value, from_plain(entry["plain"]))
        else:
            load_state(name, value, from_plain(entry["state"]))
            if isinstance(value, nn.Module):
                put_beside(value, entry)


def fill(container: Any, content: Any) -> None:
    """Make a dict or list hold `content`, in place: others may hold it too."""
    if isinstance(container, list):
        container[:] = content
    else:
        container.clear()
        container.update(content)


def _kind(value: Any) -> str:
    if generators.is_generator(value):
        return "generator"
    if hasattr(value, "state_dict") and hasattr(value, "load_state_dict"):
        return "stateful"
    return "plain" if isinstance(value, (dict, list)) else ""


def beside_the_weights(module: nn.Module, gradients: bool) -> dict[str, Any]:
    """What a step depends on and `state_dict` leaves out: modes, frozen parameters, gradients not yet applied."""
    beside: dict[str, Any] = {
        "training": {name: part.training for name, part in module.named_modules()},
        "frozen": [name for name, parameter in module.named_parameters() if not parameter.requires_grad],
    }
    if gradients:
        beside["gradients"] = {
            name: parameter.grad.detach()
            for name, parameter in module.named_parameters()
            if parameter.grad is not None
        }
    return beside


def put_beside(module: nn.Module, entry: Mapping[str, Any]) -> None:
    """The opposite of `beside_the_weights`."""
    for name, part in module.named_modules():
        part.training = entry["training"].get(name, part.training)
    frozen = set(entry["frozen"])
    grads = entry.get("gradients", {})
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name not in frozen)
        grad = grads.get(name)
        parameter.grad = None if grad is None else grad.to(parameter.device, copy=True)


def _compare_names(objects: Mapping[str, Any], taken: Mapping[str, Any]) -> None:
    if set(objects) != set(taken):
        raise CheckpointError(
            f"expected a checkpoint of {_listed(sorted(objects))}, found one of {_listed(sorted(taken))}"
        )


def _compare(name: str, value: Any, entry: Mapping[str, Any]) -> None:
    kind = _kind(value)
    key = {"generator": "generator", "plain": "plain"}.get(kind, "state")
    if key not in entry:
        raise CheckpointError(f"{name}: expected the state of a {type(value).__name__}, found something else")
    if isinstance(value, nn.Module):
        _compare_tensors(name, value.state_dict(), entry["state"])
    elif isinstance(value, torch.optim.Optimizer):
        _compare_groups(name, value, entry["state"])
    elif kind == "plain" and isinstance(value, list) is not isinstance(entry["plain"], list):
        raise CheckpointError(f"{name}: expected a {type(value).__name__}, found another container")


def _compare_tensors(name: str, own: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    wrong = []
    for key, tensor in own.items():
        other = kept.get(key)
        if not isinstance(tensor, torch.Tensor) or not isinstance(other, torch.Tensor):
            continue
        if tensor.shape != other.shape and not _is_lazy(tensor):
            wrong.append(f"{name}.{key}: expected shape {tuple(tensor.shape)}, found {tuple(other.shape)}")
    wrong += [f"{name}.{key}: expected it, found nothing" for key in own if key not in kept]
    wrong += [f"{name}.{key}: found it, expected no such tensor" for key in kept if key not in own]
    if wrong:
        raise CheckpointError(f"the checkpoint is of another model: {_listed(wrong, '; ')}")


def _compare_groups(name: str, own: torch.optim.Optimizer, kept: Mapping[str, Any]) -> None:
    expected = [len(group["params"]) for group in own.param_groups]
    found = [len(group["params"]) for group in kept.get("param_groups", [])]
    if expected != found:
        raise CheckpointError(
            f"{name}: expected an optimizer with {expected} parameters in its groups, found one with {found}"
        )
    numbers = [number for group in kept["param_groups"] for number in group["params"]]
    parameters = [parameter for group in own.param_groups for parameter in group["params"]]
    for number, parameter in zip(numbers, parameters, strict=True):
        for key, moment in kept["state"].get(number, {}).items():
            if key in _LIKE_THE_PARAMETER and moment is not None and moment.shape != parameter.shape:
                raise CheckpointError(
                    f"{name}: parameter {number}: {key}: expected shape {tuple(parameter.shape)}, "
                    f"found {tuple(moment.shape)}"
                )


def load_state(name: str, value: Any, state: Any) -> None:
    """``value.load_state_dict(state)``; what it does not take is a `CheckpointError`."""
    try:
        # A module copies into its own tensors; others keep what they are given, and it may be loaded once more.
        value.load_state_dict(state if isinstance(value, nn.Module) else copy.deepcopy(state))
    except (RuntimeError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{name}: its state does not fit ({error})") from error


def _is_lazy(tensor: torch.Tensor) -> bool:
    return isinstance(tensor, (nn.parameter.UninitializedParameter, nn.parameter.UninitializedBuffer))


def _listed(items: list[str], separator: str = ", ") -> str:
    shown = separator.join(items[:_NAMED_AT_MOST])
    more = len(items) - _NAMED_AT_MOST
    return f"{shown} and {more} more" if more > 0 else shown or "nothing"
