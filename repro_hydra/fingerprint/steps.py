"""What torch shows of a training, without a line of it changed: batches, losses, and the optimizers' steps.

A batch is what a ``DataLoader`` yields while gradients are recorded; where there is no loader, the tensors that go
into an outermost module. A loss is what ``backward`` is called on. At the end of each optimizer's step its gradients,
states and weights are read. Only the thread and the process that began the run are looked at, and what
``torch.compile`` has compiled is left as it is: a compiled model's batch is seen, a compiled optimizer's step is not.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from repro_hydra.fingerprint.device import device_digest
from repro_hydra.fingerprint.digest import (
    START,
    NoDigest,
    is_tensor,
    mixed,
    mixed_memory,
    mixed_value,
    plain,
    view,
    windows,
)
from repro_hydra.fingerprint.generators import GeneratorDigests
from repro_hydra.fingerprint.log import FingerprintsSoFar, is_taken
from repro_hydra.fingerprint.pieces import Piece, Turns, all_weights
from repro_hydra.patches import Patches
from repro_hydra.record.fingerprint import SCHEME
from repro_hydra.record.schema import JSON

_MOST_BATCH_BYTES = 256 << 10
_PYTHON_EVERY = 16
"""How often the state of `random` is read, in steps."""
_ABSENT = b"none"
_NUMBER = (int, float)
_NOWHERE: list[Any] = []
"""No tensor of the host's memory is left for a device to read."""


@dataclass(slots=True)
class Taken:
    """The fingerprint of one step, of which a device may still have to tell its part."""

    line: dict[str, JSON]
    digests: dict[tuple[str, ...], int]
    """By their place in the line."""
    on_device: list[tuple[tuple[str, ...], Any]] = field(default_factory=list)
    """Numbers on a device that belong to them."""


@dataclass(slots=True)
class _Optimizer:
    """One optimizer, by its number in the order in which they are made."""

    number: int
    gone: Any
    """Held, so that we are told when the optimizer is gone: another may then have its id."""
    steps: int = 0
    taken: int = 0
    turns: Turns | None = None
    begins_with: int | None = None
    begins_on_device: Any = None


class TorchSteps:
    """The hooks on torch while a session lasts.

    Parameters
    ----------
    tell : callable
        Takes the fingerprint of each step.
    failed : callable
        Told of an error of ours, once; nothing is fingerprinted after it. An error here is never the user's.
    whole : bool
        Read every tensor whole, and tell the digest of each by name.
    every : int
        Fingerprint each so-manieth step.
    """

    def __init__(
        self,
        tell: Callable[[Taken], None],
        failed: Callable[[Exception], None],
        *,
        whole: bool,
        every: int,
    ) -> None:
        self._tell = tell
        self._failed = failed
        self._whole = whole
        self._every = every
        self._thread = threading.get_ident()
        self._pid = os.getpid()
        self._generators = GeneratorDigests()
        self._patches = Patches()
        self._handles: list[Any] = []
        self._on = self._paused = False
        self._is_compiling: Callable[[], bool] = bool
        self._in_module = False
        self._from_loader = False
        self._looks = True
        self._pending: dict[str, int] = {}
        self._on_device: list[tuple[tuple[str, ...], Any]] = []
        self._modules: weakref.WeakSet[Any] = weakref.WeakSet()
        self._optimizers: dict[int, _Optimizer] = {}
        self._made: list[_Optimizer] = []
        self._before = FingerprintsSoFar()

    # ------------------------------------------------------------------ putting in, taking out

    def install(self) -> None:
        """Put the hooks in; torch must be imported."""
        torch: Any = sys.modules["torch"]
        from torch.optim import optimizer

        self._handles = [
            optimizer.register_optimizer_step_pre_hook(self._before_step),
            optimizer.register_optimizer_step_post_hook(self._after_step),
        ]
        self._watch_making(optimizer.Optimizer)
        self._watch_backward(torch)
        self._watch_modules(torch)
        self._on = True

    def watch_loaders(self) -> None:
        """Look at what loaders yield; ``torch.utils.data.dataloader`` must be imported."""
        iterator: Any = sys.modules["torch.utils.data.dataloader"]._BaseDataLoaderIter
        original = iterator.__next__

        def following(loader: Any) -> Any:
            batch = original(loader)
            self._guarded(self._see_loaded, batch)
            return batch

        self._patches.attribute(iterator, "__next__", following)

    def stop(self) -> None:
        """Take the hooks out."""
        self._on = False
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._patches.undo()

    def pause(self) -> None:
        """Take none until `go_on`: what runs meanwhile has run before."""
        self._paused, self._looks = True, False

    def go_on(self, so_far: FingerprintsSoFar) -> None:
        """Count on from a checkpoint."""
        self._paused, self._looks = False, self._on
        self._before, self._pending = so_far, dict(so_far.pending)
        for made in self._made:
            self._count_from(made)

    def so_far(self) -> FingerprintsSoFar:
        """Where the steps stand: part of a checkpoint."""
        return FingerprintsSoFar(
            steps=[made.steps for made in self._made],
            taken=[made.taken for made in self._made],
            pending={name: self._pending[name] for name in ("batch", "loss") if name in self._pending},
        )

    # ------------------------------------------------------------------ batch and loss

    def _watch_backward(self, torch: Any) -> None:
        original = torch.autograd.backward

        def backward(tensors: Any, *rest: Any, **named: Any) -> Any:
            self._guarded(self._see_loss, tensors)
            return original(tensors, *rest, **named)

        self._patches.attribute(torch.autograd, "backward", backward)  # `Tensor.backward` looks for it there

    def _watch_modules(self, torch: Any) -> None:
        original, main = torch.nn.Module.__call__, self._thread
        is_compiling = self._is_compiling = torch.compiler.is_compiling

        def __call__(called: Any, *args: Any, **kwargs: Any) -> Any:
            # Where torch.compile traces this, nothing of it may be left: it reads one attribute, which stays as it is.
            if self._in_module or is_compiling() or threading.get_ident() != main:
                return original(called, *args, **kwargs)
            self._in_module = True
            try:
                self._guarded(self._see_inputs, called, args, kwargs)
                return original(called, *args, **kwargs)
            finally:
                self._in_module = False

        self._patches.attribute(torch.nn.Module, "__call__", __call__)

    def _see_loaded(self, batch: Any) -> None:
        if not sys.modules["torch"].is_grad_enabled():  # a batch to evaluate on
            return
        if not self._from_loader:  # which tells more than what went into a module
            self._from_loader = True
            self._pending.pop("batch", None)
            self._on_device = [one for one in self._on_device if one[0] != ("batch",)]
        self._see_batch(batch)

    def _see_inputs(self, module: Any, args: Any, kwargs: Any) -> None:
        if not sys.modules["torch"].is_grad_enabled():
            return
        self._modules.add(module)
        if not self._from_loader:
            given = _leaves((*args, *kwargs.values()))
            self._see_batch([value for value in given if is_tensor(value) and value.grad_fn is None])

    def _see_batch(self, batch: Any) -> None:
        most = None if self._whole else _MOST_BATCH_BYTES
        digest = self._pending.get("batch", START)
        for value in _leaves(batch):
            if is_tensor(value) and not value.is_cpu:
                own = plain(value)
                size = own.nbytes
                parts = [(own, start, length) for start, length in windows(size, most)]
                self._on_device.append((("batch",), device_digest(parts)))
            else:
                try:
                    digest = mixed_value(digest, value, most_bytes=most)
                except NoDigest:  # an object of the user's: its type is all that can be told of it
                    digest = mixed(digest, type(value).__qualname__.encode())
        self._pending["batch"] = digest

    def _see_loss(self, tensors: Any) -> None:
        for tensor in [tensors] if is_tensor(tensors) else tensors:
            own = plain(tensor)
            size = own.nbytes
            digest = self._pending.get("loss", START)
            if own.is_cpu:
                digest = mixed_memory(digest, own.data_ptr(), size)
            else:
                self._on_device.append((("loss",), device_digest([(own, 0, size)])))
            self._pending["loss"] = digest

    # ------------------------------------------------------------------ steps

    def _watch_making(self, kind: Any) -> None:
        original = kind.__init__

        def __init__(optimizer: Any, *given: Any, **named: Any) -> None:
            original(optimizer, *given, **named)
            if self._is_ours():
                self._number(optimizer)

        self._patches.attribute(kind, "__init__", __init__)

    def _number(self, optimizer: Any) -> _Optimizer:
        key = id(optimizer)
        gone = weakref.ref(optimizer, lambda _: self._optimizers.pop(key, None))
        made = _Optimizer(number=len(self._made), gone=gone)
        self._count_from(made)
        self._made.append(made)
        self._optimizers[key] = made
        return made

    def _count_from(self, made: _Optimizer) -> None:
        """Where the run goes on from a checkpoint, so did its optimizers."""
        if made.number < len(self._before.steps):
            made.steps, made.taken = self._before.steps[made.number], self._before.taken[made.number]

    def _before_step(self, optimizer: Any, *_: Any) -> None:
        """At the first step of an optimizer: what weights it begins with."""
        if self._is_compiling() or self._paused or not self._is_ours():
            return
        made = self._optimizers.get(id(optimizer)) or self._number(optimizer)
        if made.steps == 0:
            self._looks = True
            self._guarded(self._read_first, optimizer, made)

    def _after_step(self, optimizer: Any, *_: Any) -> None:
        if self._is_compiling() or self._paused or not self._is_ours():
            return
        made = self._optimizers[id(optimizer)]
        if is_taken(made.steps, self._every):
            self._guarded(self._take, optimizer, made)
        made.steps += 1
        self._pending.clear()
        self._on_device.clear()
        self._from_loader = False
        self._looks = self._on and any(
            is_taken(other.steps, self._every) for other in self._optimizers.values()
        )

    def _is_ours(self) -> bool:
        return self._on and os.getpid() == self._pid and threading.get_ident() == self._thread

    def _read_first(self, optimizer: Any, made: _Optimizer) -> None:
        digest, parts = START, list[Any]()
        for _, _, parameter in all_weights(optimizer):
            digest = self._read(digest, parameter, parts)
        made.begins_with = digest
        made.begins_on_device = device_digest(parts) if parts else None

    def _take(self, optimizer: Any, made: _Optimizer) -> None:
        self._tell(self._fingerprint(optimizer, made))
        made.taken += 1

    def _fingerprint(self, optimizer: Any, made: _Optimizer) -> Taken:
        line: dict[str, JSON] = {"step": made.steps, "optimizer_index": made.number}
        taken = Taken(line, {(name,): digest for name, digest in self._pending.items()}, [*self._on_device])
        if made.turns is None or not made.turns.fits(optimizer):
            made.turns = Turns(optimizer, self._names() if self._whole else {}, whole=self._whole)
        self._read_pieces(optimizer, made.turns.at(made.taken), taken)
        place = ("optimizer",)
        values = made.turns.plain_values(optimizer)
        taken.digests[place] = mixed(taken.digests.get(place, START), values)
        if made.begins_with is not None:
            line["scheme"] = SCHEME
            taken.digests[("initial_weights",)] = made.begins_with
            if made.begins_on_device is not None:
                taken.on_device.append((("initial_weights",), made.begins_on_device))
            made.begins_with = made.begins_on_device = None
        line["rng"] = self._generators.take(python=made.steps % _PYTHON_EVERY == 0)
        return taken

    def _read_pieces(self, optimizer: Any, pieces: list[Piece], taken: Taken) -> None:
        states, digests = optimizer.state, taken.digests
        on_device: dict[tuple[str, ...], list[tuple[Any, int, int]]] = {}
        for kind, parameter, key, offset, length, place in pieces:
            if kind == "weights":
                tensor = parameter
            elif kind == "gradients":
                tensor = parameter.grad
            else:
                tensor = states[parameter].get(key)
            digest = digests.get(place, START)
            if not is_tensor(tensor):  # none yet, or a state that was a tensor when the turns were dealt out
                digests[place] = mixed(
                    digest, repr(tensor).encode() if isinstance(tensor, _NUMBER) else _ABSENT
                )
            elif tensor.is_cpu:
                digests[place] = self._read(digest, tensor, _NOWHERE, offset, length)
            else:
                parts = on_device.setdefault(place, [])
                digests[place] = self._read(digest, tensor, parts, offset, length)
        for place, parts in on_device.items():
            if parts:
                taken.on_device.append((place, device_digest(parts)))

    def _read(
        self, digest: int, tensor: Any, on_device: list[Any], offset: int = 0, length: int | None = None
    ) -> int:
        """`digest`, and then bytes of a tensor; where those lie on a device, they go to `on_device` instead."""
        try:
            own = plain(tensor)
        except NoDigest:
            return mixed(digest, type(tensor).__qualname__.encode())
        size = own.nbytes
        if (
            length is None or offset + length > size
        ):  # the tensor is another one than when the turns were dealt out
            offset, length = 0, size
        if not own.is_cpu:
            on_device.append((own, offset, length))
            return digest
        return mixed(digest, view(own.data_ptr() + offset, length)) if length else digest

    def _names(self) -> dict[int, str]:
        """What the modules that were called call their parameters."""
        names: dict[int, str] = {}
        for module in self._modules:
            for name, parameter in module.named_parameters():
                names.setdefault(id(parameter), name)
        return names

    # ------------------------------------------------------------------ errors of ours

    def _guarded(self, look: Callable[..., None], *given: Any) -> None:
        if not self._looks or not self._is_ours():
            return
        try:
            look(*given)
        except Exception as error:  # noqa: BLE001 (whatever of ours fails must not cost the user's training)
            self._on = self._looks = False
            self._failed(error)


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
