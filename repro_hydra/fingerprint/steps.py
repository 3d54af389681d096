"""The steps of torch's optimizers, without a line of a training changed.

At the end of each step its gradients, the optimizer's states and the weights are read. Only the thread and the process
that began the run are looked at. A step that ``torch.compile`` has compiled is not seen.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from repro_hydra.fingerprint.digest import is_tensor
from repro_hydra.fingerprint.feed import Feed
from repro_hydra.fingerprint.generators import GeneratorDigests
from repro_hydra.fingerprint.log import FingerprintsSoFar, is_taken
from repro_hydra.fingerprint.pieces import Piece, Turns, all_weights
from repro_hydra.fingerprint.reading import Digests, Place
from repro_hydra.patches import Patches
from repro_hydra.record.fingerprint import SCHEME
from repro_hydra.record.schema import JSON

_PYTHON_EVERY = 16
"""How often the state of `random` is read, in steps."""
_ABSENT = b"none"
_NUMBER = (int, float)
_INITIAL: Place = ("initial_weights",)
_OPTIMIZER: Place = ("optimizer",)


@dataclass(slots=True)
class Taken:
    """The fingerprint of one step, of which a device may still have to tell its part."""

    line: dict[str, JSON]
    digests: Digests


@dataclass(slots=True)
class _Optimizer:
    """One optimizer, by its number in the order in which they are made."""

    number: int
    gone: Any = None
    """Held, so that we are told when the optimizer is gone: another may then have its id."""
    steps: int = 0
    taken: int = 0
    turns: Turns | None = None
    initial: Digests | None = None


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
    stepped : callable
        Told at the end of each step which optimizer made it, and how many it has made.
    """

    def __init__(
        self,
        tell: Callable[[Taken], None],
        failed: Callable[[Exception], None],
        *,
        whole: bool,
        every: int,
        stepped: Callable[[int, int], None] = lambda _index, _steps: None,
    ) -> None:
        self._tell = tell
        self._stepped = stepped
        self._failed = failed
        self._whole = whole
        self._every = every
        self._thread = threading.get_ident()
        self._pid = os.getpid()
        self._generators = GeneratorDigests()
        self._patches = Patches()
        self._handles: list[Any] = []
        self._on = self._paused = False
        self._looks = True
        """Whether what goes into the next step is looked at."""
        self._is_compiling: Callable[[], bool] = bool
        self._cuda: Any = None
        self._feed = Feed(self._guarded, whole=whole)
        self._optimizers: dict[int, _Optimizer] = {}
        self._made: list[_Optimizer] = []
        self._before = FingerprintsSoFar()

    # ------------------------------------------------------------------ putting in, taking out

    def install(self) -> None:
        """Put the hooks in; torch must be imported."""
        torch: Any = sys.modules["torch"]
        from torch.optim import optimizer

        self._is_compiling, self._cuda = torch.compiler.is_compiling, torch.cuda
        self._handles = [
            optimizer.register_optimizer_step_pre_hook(self._before_step),
            optimizer.register_optimizer_step_post_hook(self._after_step),
        ]
        self._watch_making(optimizer.Optimizer)
        self._feed.install()
        self._on = True

    def watch_loaders(self) -> None:
        """Look at what loaders yield; ``torch.utils.data.dataloader`` must be imported."""
        self._feed.watch_loaders()

    def stop(self) -> None:
        """Take the hooks out."""
        self._on = False
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._patches.undo()
        self._feed.stop()

    def pause(self) -> None:
        """Take none until `go_on`: what runs meanwhile has run before."""
        self._paused = True

    def go_on(self, so_far: FingerprintsSoFar) -> None:
        """Count on from a checkpoint."""
        self._paused, self._looks = False, True
        self._before = so_far
        self._feed.go_on(so_far)
        for made in self._made:
            self._count_from(made)

    def so_far(self) -> FingerprintsSoFar:
        """Where the steps stand: part of a checkpoint."""
        return msgspec.structs.replace(
            self._feed.so_far(),
            steps=[made.steps for made in self._made],
            taken=[made.taken for made in self._made],
        )

    # ------------------------------------------------------------------ optimizers

    def _watch_making(self, kind: Any) -> None:
        original = kind.__init__

        @functools.wraps(original)
        def __init__(optimizer: Any, /, *given: Any, **named: Any) -> None:
            original(optimizer, *given, **named)
            if self._is_ours():
                self._number(optimizer)

        self._patches.attribute(kind, "__init__", __init__)

    def _number(self, optimizer: Any) -> _Optimizer:
        made = _Optimizer(number=len(self._made))
        key = id(optimizer)

        def gone(_: Any) -> None:
            self._optimizers.pop(key, None)
            made.turns = made.initial = None  # they hold its parameters

        made.gone = weakref.ref(optimizer, gone)
        self._count_from(made)
        self._made.append(made)
        self._optimizers[key] = made
        return made

    def _count_from(self, made: _Optimizer) -> None:
        """Where the run goes on from a checkpoint, so did its optimizers."""
        if made.number < len(self._before.steps):
            made.steps, made.taken = self._before.steps[made.number], self._before.taken[made.number]

    # ------------------------------------------------------------------ steps

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
        made = self._optimizers.get(id(optimizer))
        if made is None:  # the run goes on from a checkpoint since this step began
            return
        seen = self._feed.taken()
        if is_taken(made.steps, self._every):
            self._looks = True
            self._guarded(self._take, optimizer, made, seen)
        made.steps += 1
        self._stepped(made.number, made.steps)
        # By all that were ever made: which of them still live is a matter of when garbage is collected.
        self._looks = any(is_taken(other.steps, self._every) for other in self._made)

    def _read_first(self, optimizer: Any, made: _Optimizer) -> None:
        made.initial = Digests()
        for _, _, parameter in all_weights(optimizer):
            made.initial.read(_INITIAL, parameter)
        made.initial.settle()

    def _take(self, optimizer: Any, made: _Optimizer, seen: Digests) -> None:
        line: dict[str, JSON] = {"step": made.steps, "optimizer_index": made.number}
        if made.turns is None or not made.turns.fits(optimizer):
            made.turns = Turns(optimizer, self._feed.names() if self._whole else {}, whole=self._whole)
        self._read_pieces(optimizer, made.turns.at(made.taken), seen)
        seen.add(_OPTIMIZER, made.turns.plain_values(optimizer))
        for tensor in made.turns.group_tensors(optimizer):
            seen.read(_OPTIMIZER, tensor)
        seen.settle()
        if made.initial is not None:
            line["scheme"] = SCHEME
            line["device"] = next((str(p.device.type) for _, _, p in all_weights(optimizer)), "none")
            seen.take(made.initial)
            made.initial = None
        line["rng"] = self._generators.take(python=made.steps % _PYTHON_EVERY == 0)
        self._tell(Taken(line, seen))
        made.taken += 1

    def _read_pieces(self, optimizer: Any, pieces: list[Piece], digests: Digests) -> None:
        states = optimizer.state
        for kind, parameter, key, windows, place in pieces:
            if kind == "weights":
                tensor = parameter
            elif kind == "gradients":
                tensor = parameter.grad
            else:
                tensor = states.get(parameter, _NO_STATE).get(key)
            if is_tensor(tensor):
                digests.read(place, tensor, windows)
            else:  # none yet, or a state that was a tensor when the turns were dealt out
                digests.add(place, repr(tensor).encode() if isinstance(tensor, _NUMBER) else _ABSENT)

    # ------------------------------------------------------------------ errors of ours

    def _is_ours(self) -> bool:
        return self._on and os.getpid() == self._pid and threading.get_ident() == self._thread

    def _guarded(self, look: Callable[..., None], *given: Any) -> None:
        if not self._looks or self._paused or not self._is_ours():
            return
        try:
            if self._cuda.is_initialized() and self._cuda.is_current_stream_capturing():
                return  # what we did on the device would become part of the user's graph
            look(*given)
        except Exception as error:  # noqa: BLE001 (whatever of ours fails must not cost the user's training)
            self._on = False
            self._failed(error)


_NO_STATE: dict[str, Any] = {}
