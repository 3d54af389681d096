"""Holds what strict enforces against code that weakens it: such a call is written down and takes no effect.

Frameworks switch determinism off as they set themselves up (Lightning with ``deterministic: False`` calls
``torch.use_deterministic_algorithms(False)``), in the middle of the task.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from repro_hydra.patches import Patches
from repro_hydra.record.schema import Finding
from repro_hydra.sites import callers, is_users, site_of

# Which function of torch._C sets what, and what it must not be set to.
_SWITCHES = (
    ("cudnn.benchmark", "_set_cudnn_benchmark", "cudnn", "benchmark", True),
    ("cudnn.deterministic", "_set_cudnn_deterministic", "cudnn", "deterministic", False),
    ("mkldnn.deterministic", "_set_mkldnn_deterministic", "mkldnn", "deterministic", False),
    ("torch.fill_uninitialized_memory", "_set_deterministic_fill_uninitialized_memory", None, None, False),
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

    def install(self, threads: int | None) -> None:
        """Hold torch, which must be imported; `threads` too where they are asked for."""
        torch: Any = sys.modules["torch"]
        self._hold_algorithms(torch)
        for setting, setter, backend, name, weak in _SWITCHES:
            self._hold_switch(torch, setting, setter, backend, name, weak)
        if threads is not None:
            self._replace(
                torch, "set_num_threads", self._held("torch.threads", lambda count: count != threads)
            )
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

    def _hold_switch(
        self, torch: Any, setting: str, setter: str, backend: str | None, name: str | None, weak: bool
    ) -> None:
        original = getattr(torch._C, setter, None)
        if original is None:  # another version of torch: the probes still tell
            return
        guarded = self._held(setting, lambda value: bool(value) is weak)(original)
        self._patches.attribute(torch._C, setter, guarded)
        switch = vars(type(getattr(torch.backends, backend))).get(name) if backend and name else None
        if hasattr(switch, "setter"):  # torch.backends.ContextProp keeps the function itself
            self._patches.attribute(switch, "setter", guarded)

    def _replace(self, owner: Any, name: str, wrap: Callable[[Any], Any]) -> None:
        self._patches.everywhere(owner, name, wrap(getattr(owner, name)))

    def _held(self, setting: str, weakens: Callable[..., bool]) -> Callable[[Any], Any]:
        def wrap(original: Any) -> Any:
            @wraps(original)
            def guarded(*given: Any, **named: Any) -> Any:
                try:
                    weak = weakens(*given, **named)
                except TypeError:
                    return original(*given, **named)  # not a call that torch takes: its own error
                if not weak:
                    return original(*given, **named)
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
                    "effect. Where it is wanted: +repro/determinism=off"
                ),
                file=site.file,
                line=site.line,
            ),
        )
