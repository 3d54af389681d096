"""Operators without a deterministic implementation: named when one stops a run, or let through where it was waived.

torch refuses such an operator before it does anything, by ``Context::alertNotDeterministic(NAME)``, whose NAME is all
that it tells (``put_``, ``max_unpooling2d_forward_out``, ``kthvalue CUDA``). It can be told to warn instead, but only
of all of them; so a waived one runs in a window of its own, in which only it may warn.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Literal

from repro_hydra.record.schema import Finding
from repro_hydra.sites import Site, callers, is_users, site_of

KIND = "nondeterministic-op"
_REFUSAL = re.compile(r"\A(.{1,200}?) does not have a deterministic implementation")


def operator_in(message: str) -> str | None:
    """The operator that torch's message refuses, or warns of; None where it is another message."""
    match = _REFUSAL.match(message)
    return None if match is None else match[1].strip()


def refusal_in(error: BaseException) -> tuple[BaseException, str] | None:
    """The refusal of an operator among `error` and what caused it, and the operator."""
    for cause in _causes(error):
        name = operator_in(str(cause)) if isinstance(cause, (RuntimeError, UserWarning)) else None
        if name is not None:
            return cause, name
    return None


def refused_operator(error: BaseException, start: str) -> tuple[BaseException, Finding] | None:
    """The exception by which torch refused an operator, and the finding that says so; None for other errors.

    Parameters
    ----------
    start : str
        The directory that files are named relative to.
    """
    found = refusal_in(error)
    if found is None:
        return None
    cause, name = found
    site = _site_in_traceback(cause, start)
    where = "" if site is None else f"{site}: "
    finding = Finding(
        id=f"{KIND}:{name}",
        severity="blocks",
        message=f"{where}{name} has no deterministic implementation, so torch refuses it, as strict asked. Take "
        "another operator, or waive exactly this one",
        file=None if site is None else site.file,
        line=None if site is None else site.line,
    )
    return cause, finding


class LetThrough:
    """Lets the waived operators through while a session lasts; all others stay refused.

    A dispatch mode of the thread that entered the session, which autograd carries into the threads of its backward
    pass. An operator that torch refuses, and that is waived, runs again with torch told to warn. What warns in that
    moment and is not waived (another operator that this one calls, another thread's) is raised by a warning filter.
    ``torch.compile`` compiles nothing below a dispatch mode, so its models run as they are written.

    Parameters
    ----------
    waived : callable
        Whether an operator of this name is.
    start : str
        The directory that files are named relative to.
    """

    def __init__(self, waived: Callable[[str], bool], start: str) -> None:
        self._waived = waived
        self._start = start
        self._mode: Any = None
        self._found: dict[str, tuple[Site, int]] = {}
        self._filters: list[Any] = []

    def install(self) -> None:
        """Begin; torch must be imported."""

        def dispatch(_mode: Any, func: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            return self._call(func, args, kwargs or {})

        # Made here, since its base is there only once torch is.
        base = _dispatch().TorchDispatchMode
        # Operators that take functions (cond, while_loop) are refused below a mode that does not say so.
        own = {"__torch_dispatch__": dispatch, "supports_higher_order_operators": True}
        self._mode = type("LetThroughMode", (base,), own)()
        self._mode.__enter__()
        self._filter("error", ".*")

    def stop(self) -> None:
        """End; a mode that the program left on top of ours stays."""
        if self._mode is None:
            return
        if _dispatch()._get_current_dispatch_mode() is self._mode:
            self._mode.__exit__(None, None, None)
        self._mode = None
        for entry in self._filters:
            with contextlib.suppress(ValueError):  # the program reset the filters
                warnings.filters.remove(entry)  # type: ignore[attr-defined]

    def findings(self) -> list[Finding]:
        """One for each operator that was let through."""
        return [
            Finding(
                id=f"{KIND}:{name}",
                severity="may_change_bits",
                message=f"{site}: {name} has no deterministic implementation; it was let through "
                f"{count} time{'' if count == 1 else 's'}",
                file=site.file,
                line=site.line,
            )
            for name, (site, count) in self._found.items()
        ]

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        try:
            return func(*args, **kwargs)
        except RuntimeError as error:
            name = operator_in(str(error))
            if name is None or not self._waived(name):
                raise
        self._note(name)
        return self._call_warned(func, args, kwargs)

    def _call_warned(self, func: Any, args: Any, kwargs: Any) -> Any:
        set_algorithms = sys.modules["torch"]._C._set_deterministic_algorithms
        set_algorithms(True, warn_only=True)
        try:
            return func(*args, **kwargs)
        finally:
            set_algorithms(True, warn_only=False)

    def _filter(self, action: Literal["error", "ignore"], name: str) -> None:
        # torch hands its warnings over when the outermost of its functions returns: too late to catch them here.
        warnings.filterwarnings(action, message=rf"{name} does not have a deterministic implementation")
        self._filters.append(warnings.filters[0])

    def _note(self, name: str) -> None:
        site, count = self._found.get(name, (None, 0))
        if site is None:
            site = _users_site(sys._getframe(2), self._start)
            self._filter("ignore", re.escape(name))
        self._found[name] = (site, count + 1)


class Warned:
    """Writes down which operators torch warned of while a session lasts, where it was told to warn (standard).

    Python shows a warning once for each line; so does this.
    """

    def __init__(self, start: str) -> None:
        self._start = start
        self._found: dict[str, Site] = {}
        self._original: Callable[..., None] | None = None

    def install(self) -> None:
        """Begin to listen."""
        original = self._original = warnings.showwarning

        def showwarning(message: Any, *rest: Any, **named: Any) -> None:
            name = operator_in(str(message))
            if name is not None and name not in self._found:
                self._found[name] = _users_site(sys._getframe(1), self._start)
            original(message, *rest, **named)

        self._ours = showwarning
        warnings.showwarning = showwarning

    def stop(self) -> None:
        if self._original is not None and warnings.showwarning is self._ours:
            warnings.showwarning = self._original
        self._original = None

    def findings(self) -> list[Finding]:
        """One for each operator."""
        return [
            Finding(
                id=f"{KIND}:{name}",
                severity="may_change_bits",
                message=f"{site}: {name} has no deterministic implementation; strict would refuse it",
                file=site.file,
                line=site.line,
            )
            for name, site in self._found.items()
        ]


def _users_site(frame: FrameType, start: str) -> Site:
    """The innermost line of the user's that called `frame`."""
    frames = list(callers(frame))
    return site_of(next((f for f in frames if is_users(f.f_code.co_filename)), frames[-1]), start)


def _dispatch() -> Any:
    return importlib.import_module("torch.utils._python_dispatch")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _site_in_traceback(error: BaseException, start: str) -> Site | None:
    """The last line of the user's on the way to where `error` was raised."""
    found: tuple[FrameType, int] | None = None
    trace = error.__traceback__
    while trace is not None:
        if is_users(trace.tb_frame.f_code.co_filename):
            found = (trace.tb_frame, trace.tb_lineno)
        trace = trace.tb_next
    if found is None:
        return None
    frame, line = found
    return Site(site_of(frame, start).file, line)
