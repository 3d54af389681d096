"""Holds what strict enforces against code that weakens it: such a call is written down and takes no effect.

Frameworks switch determinism off as they set themselves up (Lightning with ``deterministic: False`` calls
``torch.use_deterministic_algorithms(False)``), in the middle of the task.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

from repro_hydra.config import DeterminismConf, Precision, TorchDeterminism
from repro_hydra.determinism.precision_settings import EXACT
from repro_hydra.patches import Patches
from repro_hydra.record.schema import Finding
from repro_hydra.sites import callers, is_users, site_of


class _Switch(NamedTuple):
    """A function of ``torch._C`` that sets something, and which calls of it weaken that."""

    setting: str
    function: str
    weakens: Callable[..., bool]
    backend: str | None = None
    """The module of ``torch.backends`` that keeps the function itself."""
    name: str | None = None
    """By which name it does."""


def _is_off(value: object) -> bool:
    return not value


def _is_on(value: object, *_: object) -> bool:
    return bool(value)


def _is_not_highest(precision: str) -> bool:
    return precision != "highest"


def _is_not_exact(_backend: str, _operation: str, precision: str) -> bool:
    return precision not in EXACT


_SWITCHES = (
    _Switch("cudnn.benchmark", "_set_cudnn_benchmark", _is_on, "cudnn", "benchmark"),
    _Switch("cudnn.deterministic", "_set_cudnn_deterministic", _is_off, "cudnn", "deterministic"),
    _Switch("mkldnn.deterministic", "_set_mkldnn_deterministic", _is_off, "mkldnn", "deterministic"),
    _Switch("torch.fill_uninitialized_memory", "_set_deterministic_fill_uninitialized_memory", _is_off),
)
_PRECISION_SWITCHES = (
    _Switch("precision.matmul", "_set_float32_matmul_precision", _is_not_highest),
    _Switch("precision.matmul", "_set_cublas_allow_tf32", _is_on),
    _Switch("precision.cudnn_convolution", "_set_cudnn_allow_tf32", _is_on, "cudnn", "allow_tf32"),
    _Switch("precision.cpu_matmul", "_set_onednn_allow_tf32", _is_on, "mkldnn", "allow_tf32"),
    _Switch("precision.fp16_reduction", "_set_cublas_allow_fp16_reduced_precision_reduction", _is_on),
    _Switch("precision.bf16_reduction", "_set_cublas_allow_bf16_reduced_precision_reduction", _is_on),
    _Switch("precision.fp16_accumulation", "_set_cublas_allow_fp16_accumulation", _is_on),
    _Switch("precision.fp32", "_set_fp32_precision_setter", _is_not_exact),
)


class Guard:
    """Stands before torch's switches while a session lasts.

    Parameters
    ----------
    start : str
        The directory that files are named relative to.
    """

    def __init__(self, start: str) -> None:
        self._start = start
        self._patches = Patches()
        self._found: dict[str, Finding] = {}

    def install(self, options: DeterminismConf, *, undoable: bool = False) -> None:
        """Hold torch, which must be imported, to what `options` ask for."""
        torch: Any = sys.modules["torch"]
        if options.torch is TorchDeterminism.enforce:
            self._hold_algorithms(torch)
            for switch in _SWITCHES:
                self._hold_switch(torch, switch)
            if options.threads is not None:
                self._hold_threads(torch, options.threads, interop=not undoable)
        if options.precision is Precision.full:
            for switch in _PRECISION_SWITCHES:
                self._hold_switch(torch, switch)
        self._patches.rebind()

    def stop(self) -> None:
        self._patches.undo()

    def findings(self) -> list[Finding]:
        """One for each line that tried, with the user's file where it is the user's or called from there."""
        return list(self._found.values())

    def _hold_algorithms(self, torch: Any) -> None:
        def weakens(mode: bool, *, warn_only: bool = False) -> bool:
            return not mode or warn_only

        def loosens(debug_mode: int | str) -> bool:
            return debug_mode not in (2, "error")

        name = "torch.deterministic_algorithms"
        self._replace(torch, "use_deterministic_algorithms", self._held(name, weakens))
        self._replace(torch, "set_deterministic_debug_mode", self._held(name, loosens))

    def _hold_threads(self, torch: Any, threads: int, *, interop: bool) -> None:
        owner = os.getpid()

        def changes(count: int) -> bool:
            # A worker of a DataLoader gives itself one thread, and must: in a forked child more of them hang.
            return count != threads and os.getpid() == owner and not _is_multiprocessings()

        self._replace(torch, "set_num_threads", self._held("torch.threads", changes))
        if interop:
            # torch takes one call of this one, which was ours: the program's own would raise.
            self._replace(
                torch, "set_num_interop_threads", self._held("torch.interop_threads", changes, same=True)
            )

    def _hold_switch(self, torch: Any, switch: _Switch) -> None:
        original = getattr(torch._C, switch.function, None)
        if original is None:  # another version of torch: the probes still tell
            return
        guarded = self._held(switch.setting, switch.weakens)(original)
        self._patches.attribute(torch._C, switch.function, guarded)
        if switch.backend is None or switch.name is None:
            return
        kept = vars(type(getattr(torch.backends, switch.backend))).get(switch.name)
        if hasattr(kept, "setter"):  # torch.backends.ContextProp keeps the function itself
            self._patches.attribute(kept, "setter", guarded)

    def _replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        self._patches.everywhere(owner, name, wrap(getattr(owner, name)))

    def _held(
        self, setting: str, weakens: Callable[..., bool], *, same: bool = False
    ) -> Callable[[Any], Any]:
        """Whatever `weakens` is written down and not passed on; with `same`, nothing is passed on."""

        def wrap(original: Any) -> Any:
            @wraps(original)
            def guarded(*given: Any, **named: Any) -> Any:
                try:
                    weak = weakens(*given, **named)
                except TypeError:
                    return original(*given, **named)  # not a call that torch takes: its own error
                if not weak:
                    return None if same else original(*given, **named)
                self._note(setting, original.__name__, given, named)
                return None

            return guarded

        return wrap

    def _note(self, setting: str, called: str, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        frames = list(callers(sys._getframe(2)))
        frame = next((frame for frame in frames if is_users(frame.f_code.co_filename)), frames[0])
        site = site_of(frame, self._start)
        words = ", ".join([*map(repr, given), *(f"{name}={value!r}" for name, value in named.items())])
        finding_id = f"weakening-ignored:{setting}@{site}"
        self._found.setdefault(
            finding_id,
            Finding(
                id=finding_id,
                severity="harmless",
                message=(
                    f"{site}: {called.lstrip('_')}({words}) would weaken {setting}, which is enforced: it took no "
                    f"effect. Where it is wanted: {_where_wanted(setting)}"
                ),
                file=site.file,
                line=site.line,
            ),
        )


def _is_multiprocessings() -> bool:
    """Whether multiprocessing started this process; what was not imported did not."""
    process = sys.modules.get("multiprocessing.process")
    return process is not None and process.parent_process() is not None


def _where_wanted(setting: str) -> str:
    if setting.startswith("precision."):
        return "hydra.callbacks.repro.determinism.precision=own"
    if setting.endswith("threads"):
        return "hydra.callbacks.repro.determinism.threads=N, or =null to leave them as they are"
    return "+repro/determinism=off"
