"""What goes into a training between its steps, without a line of it changed: batches and losses.

A batch is what a ``DataLoader`` yields while gradients are recorded; where there is no loader, the tensors that go into
an outermost module. A loss is what ``backward`` is called on. What ``torch.compile`` has compiled is left as it is.
"""

from __future__ import annotations

import functools
import sys
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from repro_hydra.fingerprint.digest import START, is_tensor, mixed_type, mixed_value, windows
from repro_hydra.fingerprint.log import FingerprintsSoFar
from repro_hydra.fingerprint.reading import Digests, Place
from repro_hydra.patches import Patches

_MOST_BATCH_BYTES = 256 << 10
_BATCH: Place = ("batch",)
_LOSS: Place = ("loss",)
Guard = Callable[..., None]


class Feed:
    """The digests of batch and loss since the last step, and the hooks that they come by.

    Parameters
    ----------
    guard : callable
        Calls a function of ours with what follows, where this process and thread are looked at; no error leaves it.
    whole : bool
        Read batches whole, however large.
    """

    def __init__(self, guard: Guard, *, whole: bool) -> None:
        self._guard = guard
        self._most = None if whole else _MOST_BATCH_BYTES
        self._named = whole
        self._patches = Patches()
        self._in_module = False
        self._from_loader = False
        self._digests = Digests()
        self._modules: dict[int, weakref.ref[Any]] = {}

    # ------------------------------------------------------------------ hooks

    def install(self) -> None:
        """Put the hooks in; torch must be imported."""
        torch: Any = sys.modules["torch"]
        self._watch_backward(torch)
        self._watch_modules(torch)

    def watch_loaders(self) -> None:
        """Look at what loaders yield; ``torch.utils.data.dataloader`` must be imported."""
        iterator: Any = sys.modules["torch.utils.data.dataloader"]._BaseDataLoaderIter
        original = iterator.__next__

        @functools.wraps(original)
        def following(loader: Any, /) -> Any:
            batch = original(loader)
            self._guard(self._see_loaded, batch)
            return batch

        self._patches.attribute(iterator, "__next__", following)

    def stop(self) -> None:
        """Take the hooks out."""
        self._patches.undo()

    def _watch_backward(self, torch: Any) -> None:
        original = torch.autograd.backward

        @functools.wraps(original)
        def backward(tensors: Any, *rest: Any, **named: Any) -> Any:
            if isinstance(tensors, Iterator):  # we go through it too
                tensors = tuple(tensors)
            self._guard(self._see_loss, tensors)
            return original(tensors, *rest, **named)

        self._patches.attribute(torch.autograd, "backward", backward)  # `Tensor.backward` looks for it there

    def _watch_modules(self, torch: Any) -> None:
        original, main = torch.nn.Module.__call__, threading.get_ident()
        is_compiling = torch.compiler.is_compiling

        @functools.wraps(original)
        def __call__(called: Any, /, *args: Any, **kwargs: Any) -> Any:
            # Where torch.compile traces this, nothing of it may be left: it reads one attribute, which stays as it is.
            if self._in_module or is_compiling() or threading.get_ident() != main:
                return original(called, *args, **kwargs)
            self._in_module = True
            try:
                self._guard(self._see_inputs, called, args, kwargs)
                return original(called, *args, **kwargs)
            finally:
                self._in_module = False

        self._patches.attribute(torch.nn.Module, "__call__", __call__)

    # ------------------------------------------------------------------ what they see

    def _see_loaded(self, batch: Any) -> None:
        if not sys.modules["torch"].is_grad_enabled():  # a batch to evaluate on
            return
        if not self._from_loader:  # which tells more than what went into a module
            self._from_loader = True
            self._digests.drop(_BATCH)
        self._see_batch(_leaves(batch))

    def _see_inputs(self, module: Any, args: Any, kwargs: Any) -> None:
        if not sys.modules["torch"].is_grad_enabled():
            return
        if self._named and id(module) not in self._modules:
            key = id(module)
            self._modules[key] = weakref.ref(module, lambda _: self._modules.pop(key, None))
        if not self._from_loader:
            given = _leaves((*args, *kwargs.values()))
            self._see_batch(value for value in given if is_tensor(value) and value.grad_fn is None)

    def _see_batch(self, values: Iterator[Any]) -> None:
        digests = self._digests
        for value in values:
            digest = digests.by_place.get(_BATCH, START)
            try:
                if is_tensor(value) and not value.is_cpu:
                    digests.read(_BATCH, value, windows(value.nbytes, self._most) or None)
                else:
                    digests.by_place[_BATCH] = mixed_value(digest, value, most_bytes=self._most)
            except Exception:  # noqa: BLE001 (an object of the user's, which may do anything when it is looked at)
                digests.by_place[_BATCH] = mixed_type(digest, value)
        digests.keep()  # it may be changed in place before the step

    def _see_loss(self, tensors: Any) -> None:
        for tensor in [tensors] if is_tensor(tensors) or not isinstance(tensors, (list, tuple)) else tensors:
            if is_tensor(tensor):  # and no edge of a graph
                self._digests.read(_LOSS, tensor)
        self._digests.keep()

    # ------------------------------------------------------------------ steps and checkpoints

    def taken(self) -> Digests:
        """What was seen since the last step; the next step's begins with nothing."""
        found, self._digests = self._digests, Digests()
        self._from_loader = False
        return found

    def so_far(self) -> FingerprintsSoFar:
        """What was seen since the last step: part of a checkpoint."""
        self._digests.settle()
        self._digests.numbers = [(place, int(number)) for place, number in self._digests.numbers]
        return FingerprintsSoFar(
            pending={place[0]: digest for place, digest in self._digests.by_place.items()},
            numbers=[(place[0], number) for place, number in self._digests.numbers],
            from_loader=self._from_loader,
        )

    def go_on(self, so_far: FingerprintsSoFar) -> None:
        """Go on with what a checkpoint holds."""
        self._digests = Digests()
        self._digests.by_place = {(name,): digest for name, digest in so_far.pending.items()}
        self._digests.numbers = [((name,), number) for name, number in so_far.numbers]
        self._from_loader = so_far.from_loader

    def names(self) -> dict[int, str]:
        """What the modules that were called call their parameters, by the parameters' ids."""
        modules = [found for held in self._modules.values() if (found := held()) is not None]
        parameters = [list(module.named_parameters()) for module in modules]
        names: dict[int, str] = {}
        used: Counter[str] = Counter()
        for of_one in sorted(parameters, key=len, reverse=True):  # the whole model before its parts
            for name, parameter in of_one:
                if id(parameter) not in names:
                    used[name] += 1
                    names[id(parameter)] = name if used[name] == 1 else f"{name}#{used[name]}"
        return names


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        try:
            items = list(value.values())
        except Exception:  # noqa: BLE001 (a mapping of the user's)
            yield value
            return
        for item in items:
            yield from _leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield value
