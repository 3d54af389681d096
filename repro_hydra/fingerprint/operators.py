"""Each operator of torch while some steps last: what went in, what came out, and whose line called it.

Two runs of one program that part within a step do so at the first operator whose output differs. A dispatch mode sees
every operator, those of a backward pass and of an optimizer included. It costs a multiple of the training's time, so
it is for a run that is made again to find a difference, and for the steps around that.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, Any

import msgspec

from repro_hydra.fingerprint.digest import (
    NoDigest,
    is_tensor,
    plain,
    view,
)
from repro_hydra.fingerprint.operator_lines import OperatorLine, Phase, beside
from repro_hydra.fingerprint.operator_values import (
    digest_of,
    flat,
    generator_of,
    names_in,
    outputs_of,
    written_into,
)
from repro_hydra.sites import Site, callers, is_users, site_of

MOST_VALUES = 1 << 16
"""Of an output so many values are kept,"""
_MOST_KEPT_BYTES = 512 << 20
"""and of all outputs together so many bytes: then digests alone."""
MOST_LINES = 2_000_000
_UNWRITTEN = ("aten.empty", "aten.new_empty", "aten.resize", "aten.set_", "profiler.", "prim.")
"""What hands out memory in which nothing was written yet, or no tensor at all."""
_MADE_IN_PYTHON = "aten.lift_fresh"
"""By its schema a view: of a tensor that was made from Python's numbers just now."""
_ENGINE = (f"autograd{os.sep}graph.py", f"autograd{os.sep}__init__.py")
"""What stands between the user's `backward` and the operators of it, by the torch."""


class TooManyOperators(Exception):
    """More than are written down."""


class OperatorTrace:
    """Writes down the operators of some steps of one optimizer.

    Parameters
    ----------
    path : Path
        A new file; the values lie beside it.
    failed : callable
        Told of an error of ours, once; nothing is traced after it. An error here is never the user's.
    start : str
        The directory that the user's files are named relative to.
    optimizer_index : int
        Which optimizer, in the order in which they are made.
    steps : range
        Which of its steps; the first begins where the one before it ends, that with number 0 with the run.
    """

    def __init__(
        self,
        path: Path,
        failed: Callable[[Exception], None],
        start: str,
        *,
        optimizer_index: int,
        steps: range,
    ) -> None:
        self._path = path
        self._failed = failed
        self._start = start
        self._index = optimizer_index
        self._steps = steps
        self._step = 0
        self._on = self._broken = False
        self._pid, self._thread = os.getpid(), threading.get_ident()
        self._mode: Any = None
        self._handles: list[Any] = []
        self._lines: IO[bytes] | None = None
        self._values: IO[bytes] | None = None
        self._count = self._kept_bytes = 0
        self._modules: list[str] = []
        self._names: dict[int, str] = {}
        self._in_optimizer = False
        self._forward: dict[int, tuple[Site | None, str | None]] = {}
        """Where each node of the graph was made, by its sequence number."""

    # ------------------------------------------------------------------ putting in, taking out

    def install(self) -> None:
        """Begin; torch must be imported."""
        self._guarded(self._install)

    def _install(self) -> None:
        torch: Any = sys.modules["torch"]
        from torch.nn.modules import module
        from torch.optim import optimizer

        self._lines = self._path.open("wb")
        self._values = beside(self._path).open("wb")
        self._handles = [
            module.register_module_forward_pre_hook(self._enter_module),
            module.register_module_forward_hook(self._leave_module, always_call=True),
            optimizer.register_optimizer_step_pre_hook(lambda *_: self._optimizing(True)),
            optimizer.register_optimizer_step_post_hook(lambda *_: self._optimizing(False)),
        ]
        self._cuda = torch.cuda
        self._node = torch._C._current_autograd_node
        self._sequence = torch.autograd._get_sequence_nr
        self._seeded = torch.Tag.nondeterministic_seeded
        self._turn()

    def stepped(self, optimizer_index: int, steps: int) -> None:
        """An optimizer has made so many steps."""
        if optimizer_index == self._index and self._is_ours():
            self._step = steps
            self._forward.clear()
            self._guarded(self._turn)

    def stop(self) -> None:
        """End; a mode that the program left on top of ours stays, and does nothing."""
        self._broken = True
        self._turn()
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for stream in (self._lines, self._values):
            if stream is not None:
                stream.close()

    def _turn(self) -> None:
        """On or off, by the step that begins."""
        self._on = not self._broken and self._step in self._steps
        dispatch = importlib.import_module("torch.utils._python_dispatch")
        if self._on and self._mode is None:
            # Made here, since its base is there only once torch is.
            # Operators that take functions (cond, while_loop) are refused below a mode that does not say so.
            own = {"__torch_dispatch__": self._dispatch(), "supports_higher_order_operators": True}
            kind = type("OperatorMode", (dispatch.TorchDispatchMode,), own)
            self._mode = kind()
            self._mode.__enter__()
        elif not self._on and self._mode is not None and dispatch._get_current_dispatch_mode() is self._mode:
            self._mode.__exit__(None, None, None)
            self._mode = None

    # ------------------------------------------------------------------ operators

    def _dispatch(self) -> Callable[..., Any]:
        def __torch_dispatch__(_mode: Any, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            # By the process alone: the engine runs a device's backward pass in a thread of its own, while ours waits.
            if not self._on or os.getpid() != self._pid:
                return func(*args, **kwargs)
            frame = sys._getframe(1)
            seen = self._guarded(self._before, func, args, kwargs, frame)
            result = func(*args, **kwargs)
            if seen is not None:
                self._guarded(self._after, seen, func, args, kwargs, result)
            return result

        return __torch_dispatch__

    def _before(self, func: Any, args: Any, kwargs: Any, frame: FrameType) -> dict[str, Any] | None:
        if self._cuda.is_initialized() and self._cuda.is_current_stream_capturing():
            return None  # what we did on the device would become part of the user's graph
        phase, site, module = self._place(frame)
        name = str(func)
        if name.startswith(_UNWRITTEN):
            return None
        return {
            "step": self._step,
            "op": name,
            "phase": phase,
            "module": module,
            "site": site,
            "inputs": [digest_of(value) for value in flat([*args, *kwargs.values()])],
            "writes": any(True for _ in written_into(func, args, kwargs)),
            "view": bool(getattr(func, "is_view", False)) and not name.startswith(_MADE_IN_PYTHON),
            "generator": generator_of(args, kwargs) if self._seeded in getattr(func, "tags", ()) else None,
        }

    def _place(self, frame: FrameType) -> tuple[Phase, Site | None, str | None]:
        node = self._node()
        if node is None:
            site, module = self._users(frame), self._modules[-1] if self._modules else None
            # The node of this operator is made before it runs; of several with one number the first made it.
            self._forward.setdefault(self._sequence() - 1, (site, module))
            return "optimizer" if self._in_optimizer else "forward", site, module
        site, module = self._forward.get(node._sequence_nr(), (None, None))
        own = self._users(frame, below=_ENGINE)  # the user wrote this backward
        return "backward", own or site or self._users(frame), module

    def _users(self, frame: FrameType, *, below: tuple[str, ...] | None = None) -> Site | None:
        """The innermost line of the user's; with `below` only one that was called from there."""
        for caller in callers(frame):
            filename = caller.f_code.co_filename
            if below is not None and filename.endswith(below):
                return None
            if is_users(filename):
                return site_of(caller, self._start)
        return None

    def _after(self, seen: dict[str, Any], func: Any, args: Any, kwargs: Any, result: Any) -> None:
        assert self._lines is not None
        outputs = outputs_of(func, args, kwargs, result)
        seen["outputs"] = [digest_of(output) for output in outputs]
        seen["kept"] = [None if seen["view"] else self._keep(output) for output in outputs]
        self._lines.write(msgspec.json.encode(OperatorLine(**seen)) + b"\n")
        self._count += 1
        if self._count >= MOST_LINES:
            raise TooManyOperators(f"these steps have more than {MOST_LINES:,} calls of operators")

    def _keep(self, value: Any) -> tuple[int, int] | None:
        torch: Any = sys.modules["torch"]
        if not is_tensor(value) or self._kept_bytes >= _MOST_KEPT_BYTES:
            return None
        assert self._values is not None
        try:
            own = plain(value).detach().reshape(-1)
        except (NoDigest, RuntimeError):  # a quantized, a nested one
            return None
        own = (torch.view_as_real(own).reshape(-1) if own.is_complex() else own)[:MOST_VALUES]
        own = own.to(device="cpu", dtype=torch.float64).contiguous()
        place = (self._kept_bytes, own.numel())
        if own.numel():
            self._kept_bytes += self._values.write(view(own.data_ptr(), own.nbytes))
        return place

    # ------------------------------------------------------------------ modules, optimizers

    def _enter_module(self, module: Any, *_: Any) -> None:
        if not self._on or not self._is_ours():
            return
        if not self._modules:
            self._names = self._guarded(names_in, module) or {}
        self._modules.append(self._names.get(id(module)) or type(module).__name__)

    def _leave_module(self, *_: Any) -> None:
        if self._modules and self._is_ours():
            self._modules.pop()

    def _optimizing(self, now: bool) -> None:
        if self._is_ours():
            self._in_optimizer = now

    # ------------------------------------------------------------------ errors of ours

    def _is_ours(self) -> bool:
        return os.getpid() == self._pid and threading.get_ident() == self._thread

    def _guarded(self, look: Callable[..., Any], *given: Any) -> Any:
        try:
            return look(*given)
        except Exception as error:  # noqa: BLE001 (whatever of ours fails must not cost the user's training)
            self._on, self._broken = False, True
            self._failed(error)
            return None
