"""Initial values that depend on a parameter's name and the seed alone: one layer more changes no other."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from blake3 import blake3
from torch import nn

from repro_hydra.random_states import unchanged_states
from repro_hydra.wide_seeds import seed_torch_generator

Fill = Callable[[torch.Tensor, torch.Generator], None]

SCHEMES: dict[str, Fill] = {
    "xavier_uniform": lambda tensor, g: _fill(nn.init.xavier_uniform_, tensor, g),
    "xavier_normal": lambda tensor, g: _fill(nn.init.xavier_normal_, tensor, g),
    "kaiming_uniform": lambda tensor, g: _fill(nn.init.kaiming_uniform_, tensor, g, nonlinearity="relu"),
    "kaiming_normal": lambda tensor, g: _fill(nn.init.kaiming_normal_, tensor, g, nonlinearity="relu"),
    "orthogonal": lambda tensor, g: _fill(nn.init.orthogonal_, tensor, g),
}
"""Glorot & Bengio 2010, He et al. 2015, Saxe et al. 2014, as `torch.nn.init` has them."""

_NORMS = (
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm,
    *([nn.RMSNorm] if hasattr(nn, "RMSNorm") else []),
)  # fmt: skip
_DENSE = (nn.Linear, nn.modules.conv._ConvNd)


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialised:
    """What `deterministic_init` did."""

    how: Mapping[str, str]
    """Parameter to the initialiser that filled it."""
    left: tuple[str, ...] = ()
    """Parameters of modules that have no initialiser of their own: they are as they were."""


def deterministic_init(model: nn.Module, seed: int = 42, *, scheme: str = "default") -> Initialised:
    """Fill every parameter from a stream of its own, made from `seed` and the parameter's name.

    The same model gets the same values in any process, on any device, whatever was drawn before; a layer that is added
    changes no other. Tied parameters are filled once, by the first of their names. The process's own generators are
    left as they were.

    Parameters
    ----------
    seed : int
        From 0; of any size.
    scheme : str
        ``default``: the distributions of each layer's own ``reset_parameters`` (`nn.Linear` and convolutions uniformly
        by their fan-in, embeddings from N(0, 1), recurrent layers uniformly by their hidden size).
        ``xavier_uniform``, ``xavier_normal``, ``kaiming_uniform``, ``kaiming_normal``, ``orthogonal``: that, for the
        weights of linear, bilinear, convolutional, recurrent and attention layers, whose biases become 0. Norms begin
        at ones and zeros, with fresh running statistics, under every scheme.

    Returns
    -------
    Initialised
        How each was filled. A module that is none of torch's is filled by its own ``reset_parameters``, under a
        generator made from its name; one without is left, named, and warned about.

    Raises
    ------
    ValueError
        For a scheme that is none, a negative seed, or a model on the meta device.

    Examples
    --------
    >>> a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    >>> deterministic_init(a, 1).how["weight"], deterministic_init(b, 1).left
    ('uniform by fan-in', ())
    >>> bool((a.weight == b.weight).all())
    True
    """
    if scheme != "default" and scheme not in SCHEMES:
        raise ValueError(f"scheme: expected one of default, {', '.join(SCHEMES)}, found {scheme!r}")
    if seed < 0:
        raise ValueError(f"seed: expected from 0, found {seed}")
    for name, parameter in model.named_parameters():
        if parameter.is_meta:
            raise ValueError(
                f"{name}: expected memory to fill, found the meta device. Run: model.to_empty(device=…)"
            )
    filler = _Filler(seed, scheme)
    with torch.no_grad(), unchanged_states():
        for name, module in model.named_modules():
            filler.module(module, name)
    if filler.left:
        warnings.warn(
            f"deterministic_init: {', '.join(filler.left)}: expected a layer of torch's, or one with "
            "reset_parameters(), found neither; these parameters are left as they were. Give their module a "
            "reset_parameters()",
            stacklevel=2,
        )
    return Initialised(how=filler.how, left=tuple(filler.left))


class _Filler:
    """Goes through the modules, and remembers what is filled."""

    def __init__(self, seed: int, scheme: str) -> None:
        self._seed = seed
        self._scheme = scheme
        self._seen: set[int] = set()
        self.how: dict[str, str] = {}
        self.left: list[str] = []

    def module(self, module: nn.Module, name: str) -> None:
        if isinstance(module, _NORMS):
            self._norm(module, name)
        elif isinstance(module, _DENSE):
            self._dense(module, name)
        elif isinstance(module, (nn.Embedding, nn.EmbeddingBag)):
            self._each(module, name, lambda _: ("normal", _embedding(module)))
        elif isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
            self._recurrent(module, name)
        elif isinstance(module, nn.Bilinear):
            bound = 1 / math.sqrt(module.in1_features)
            self._each(module, name, lambda key: self._weight(key, "weight", "uniform by fan-in", bound))
        elif isinstance(module, nn.MultiheadAttention):
            self._attention(module, name)
        elif isinstance(module, nn.PReLU):
            self._each(module, name, lambda _: ("constant", _constant(0.25)))
        else:
            self._unknown(module, name)

    def _dense(self, module: Any, name: str) -> None:
        fan_in = nn.init._calculate_fan_in_and_fan_out(module.weight)[0]
        bound = 1 / math.sqrt(fan_in) if fan_in else 0.0
        self._each(module, name, lambda key: self._weight(key, "weight", "uniform by fan-in", bound))

    def _recurrent(self, module: Any, name: str) -> None:
        bound = 1 / math.sqrt(module.hidden_size) if module.hidden_size else 0.0
        self._each(module, name, lambda key: self._weight(key, "weight_", "uniform by hidden size", bound))

    def _attention(self, module: nn.MultiheadAttention, name: str) -> None:
        def choose(key: str) -> tuple[str, Fill]:
            if key == "in_proj_bias":
                return "zeros", _constant(0.0)
            if key.startswith("bias_"):
                return "xavier_normal", SCHEMES["xavier_normal"]
            return self._named("xavier_uniform" if self._scheme == "default" else self._scheme)

        self._each(module, name, choose)

    def _norm(self, module: Any, name: str) -> None:
        self._each(
            module, name, lambda key: ("zeros", _constant(0.0)) if "bias" in key else ("ones", _constant(1.0))
        )
        if hasattr(module, "reset_running_stats"):
            module.reset_running_stats()

    def _weight(self, key: str, weights: str, described: str, bound: float) -> tuple[str, Fill]:
        """By the scheme; biases become 0 under another than the default."""
        if self._scheme == "default":
            return described, lambda tensor, g: _fill(nn.init.uniform_, tensor, g, a=-bound, b=bound)
        return self._named(self._scheme) if key.startswith(weights) else ("zeros", _constant(0.0))

    def _named(self, scheme: str) -> tuple[str, Fill]:
        return scheme, SCHEMES[scheme]

    def _each(self, module: nn.Module, name: str, choose: Callable[[str], tuple[str, Fill]]) -> None:
        for key, full, parameter in self._own(module, name):
            described, fill = choose(key)
            generator = torch.Generator()
            seed_torch_generator(generator, _key(self._seed, full))
            # Drawn on the CPU in single precision: the same values whatever the device and the type.
            drawn = torch.empty(parameter.shape, dtype=torch.float32)
            fill(drawn, generator)
            parameter.copy_(drawn)
            self.how[full] = described

    def _unknown(self, module: nn.Module, name: str) -> None:
        own = list(self._own(module, name))
        if not own:
            return
        reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if not callable(reset):
            self.left += [full for _, full, _ in own]
            return
        generator = torch.Generator()
        seed_torch_generator(generator, _key(self._seed, name))
        torch.set_rng_state(generator.get_state())
        # What it draws on a device comes from that device's generator; it must not touch what its children were given.
        kept = [(p, p.detach().clone()) for child in module.children() for p in child.parameters()]
        reset()
        for parameter, values in kept:
            parameter.copy_(values)
        self.how |= {full: f"{type(module).__name__}.{reset.__name__}" for _, full, _ in own}

    def _own(self, module: nn.Module, name: str) -> Iterator[tuple[str, str, nn.Parameter]]:
        """The module's direct parameters that nobody filled before."""
        for key, parameter in module.named_parameters(recurse=False):
            if id(parameter) not in self._seen:
                self._seen.add(id(parameter))
                yield key, f"{name}.{key}" if name else key, parameter


def _key(seed: int, name: str) -> int:
    return int.from_bytes(blake3(f"{seed}\0{name}".encode()).digest(), "little")


def _fill(
    function: Callable[..., Any], tensor: torch.Tensor, generator: torch.Generator, **options: Any
) -> None:
    """A vector (a recurrent layer's bias) has no fan: it is drawn as a row."""
    shaped = tensor if tensor.dim() >= 2 or function is nn.init.uniform_ else tensor.unsqueeze(0)
    function(shaped, generator=generator, **options)


def _constant(value: float) -> Fill:
    def fill(tensor: torch.Tensor, _generator: torch.Generator) -> None:
        tensor.fill_(value)

    return fill


def _embedding(module: Any) -> Fill:
    def fill(tensor: torch.Tensor, generator: torch.Generator) -> None:
        nn.init.normal_(tensor, generator=generator)
        if module.padding_idx is not None:
            tensor[module.padding_idx] = 0.0

    return fill
