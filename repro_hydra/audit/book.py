"""What an audit's hooks have seen: whose line it was, how bad it is, each line of code once."""

from __future__ import annotations

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any

from repro_hydra.audit.origin import Origin, origin_of
from repro_hydra.record.schema import Finding, Severity
from repro_hydra.sites import OURS, Site, callers, is_users, site_of

_LIMIT = 1000
"""Objects that are kept to see, at the end, whether somebody has seeded them."""
_FAMILIAR = 50
"""How often one call that seeds again is looked at: 0.15 ms each, which a step of training should not pay for ever."""
_US = (OURS + "session" + os.sep, OURS + "imports.py")
"""A run seeds each library itself, also one that the task imports: right after the import, from the hook on it."""
_WORDS = {
    Origin.own: "with the run's own seed",
    Origin.derived: "with a value that depends on the run's seed",
    Origin.unknown: "with a value whose origin cannot be told here",
    Origin.constant: "with a value that ignores the run's seed, so that every seed of a sweep does the same",
    Origin.clock: "with a value from the clock or the system",
}


class AuditBook:
    """Where hooks write down what they saw.

    Parameters
    ----------
    when_imported : callable
        The session's `LateImports.when_imported`.
    start : str
        The directory that files are named relative to.
    """

    def __init__(self, when_imported: Callable[[str, Callable[[], None]], None], start: str) -> None:
        self.when_imported = when_imported
        self.start = start
        self.own: frozenset[int] = frozenset()
        self.not_followed: dict[str, Site] = {}
        """What was seen and could not be followed further, in sentences for the record's coverage."""
        self._watching_seeds = False
        self._pid = os.getpid()
        self._inside = threading.local()
        self._found: dict[str, Finding] = {}
        self._pending: list[tuple[Callable[[], bool], str, Site]] = []
        self._keyed: set[tuple[str, Site]] = set()
        self._looked_at: Counter[tuple[object, ...]] = Counter()

    def began(self, seeds: Collection[int | None]) -> None:
        """The libraries are seeded, with `seeds`; from here on somebody may seed them again."""
        self.own = frozenset(seed for seed in seeds if seed is not None)
        self._watching_seeds = True

    def sleeping(self) -> bool:
        """Whether a hook has nothing to look at: within another one, or in a forked child."""
        return getattr(self._inside, "depth", 0) > 0 or os.getpid() != self._pid

    def inside(self) -> _Inside:
        """While a hook lets the original work: what that calls is not looked at again."""
        return _Inside(self._inside)

    def accused(self, frame: FrameType, transparent: tuple[str, ...] = ()) -> Site | None:
        """The user's line that made this call; None where somebody else did.

        Parameters
        ----------
        frame : FrameType
            Whoever called the hook.
        transparent : tuple of str
            Files that act for whoever calls them (``uuid.py``).
        """
        for caller in callers(frame):
            filename = caller.f_code.co_filename
            if filename.endswith(transparent) if transparent else False:
                continue
            return site_of(caller, self.start) if is_users(filename) else None
        return None

    def nearest(self, frame: FrameType) -> Site | None:
        """The user's line for whose sake this call was made, whatever libraries lie between; None for ours."""
        for caller in callers(frame):
            filename = caller.f_code.co_filename
            if filename.startswith(_US):
                return None
            if is_users(filename):
                return site_of(caller, self.start)
        return None

    def unseeded(self, what: str, site: Site, innocent: Callable[[], bool] | None = None) -> None:
        """A generator was made without a seed; `innocent`, asked at the end, tells if it got one later."""
        if innocent is None:
            self._add_unseeded(what, site)
            return
        self._pending.append((innocent, what, site))
        if len(self._pending) > _LIMIT:
            self.settle()

    def entropy(self, what: str, site: Site) -> None:
        """The user's code asked the system or the clock for something random."""
        self.add(
            f"system-entropy:{what}@{site}",
            "may_change_bits",
            f"{site}: {what} asks the system, which answers otherwise in each run. Expected a value that follows "
            "from the seed. Use repro_hydra.rng(name), or waive it where no result depends on it",
            site,
        )

    def seeded_again(self, library: str, value: Any, frame: FrameType) -> None:
        """Somebody seeded a library's global generator during the run."""
        if not self._watching_seeds:
            return
        site = None
        for caller in callers(frame):
            if caller.f_code.co_filename.startswith(_US):
                return  # that is us
            if is_users(caller.f_code.co_filename):
                site = site_of(caller, self.start)
                break
        if site is None:
            return
        if f"seeded-again:{library}@{site}" in self._found and self._serious(
            f"seeded-again:{library}@{site}"
        ):
            return
        if self._is_familiar(frame):
            return
        origin = Origin.clock if value is None else origin_of(frame, value, self.own)
        serious = origin in (Origin.constant, Origin.clock)
        whom = "" if is_users(frame.f_code.co_filename) else f" (by {_module(frame)})"
        advice = "Seed with the config's seed, or not at all" if serious else "No harm is seen in it"
        shown = "without a value" if value is None else f"{value!r}"
        self.add(
            f"seeded-again:{library}@{site}",
            "may_change_bits" if serious else "harmless",
            f"{site}: {library} is seeded again{whom}, {shown}, {_WORDS[origin]}; the run's seed is "
            f"{', '.join(map(str, sorted(self.own))) or 'not set'}. {advice}",
            site,
        )

    def keyed(self, what: str, value: Any, frame: FrameType) -> None:
        """A stream begins from a number of the user's; no library's generator is seeded by it."""
        site = self.nearest(frame) if self._watching_seeds else None
        if site is None or (what, site) in self._keyed:  # a loop may make one in each step
            return
        self._keyed.add((what, site))
        origin = origin_of(frame, value, self.own)
        if origin is Origin.clock:
            self.add(
                f"unseeded-generator:{what}@{site}",
                "may_change_bits",
                f"{site}: {what} is made {_WORDS[origin]}, so that it does not follow from the run's seed. Make it "
                "from the config's seed",
                site,
            )
        elif origin is Origin.constant:
            self.add(
                f"constant-key:{what}@{site}",
                "harmless",
                f"{site}: {what} is made {_WORDS[origin]}. Where that is not meant: make it from the config's seed",
                site,
            )

    def add(self, finding_id: str, severity: Severity, message: str, site: Site | None) -> None:
        known = self._found.get(finding_id)
        if known is not None and (known.severity != "harmless" or severity == "harmless"):
            return
        self._found[finding_id] = Finding(
            id=finding_id,
            severity=severity,
            message=message,
            file=site.file if site else None,
            line=site.line if site else None,
        )

    # ------------------------------------------------------------------ within

    def _is_familiar(self, frame: FrameType) -> bool:
        """Whether this very call was found harmless so often that a loop, as one over steps, is at it."""
        back = frame.f_back
        place = (frame.f_code, frame.f_lasti, back and back.f_code, back and back.f_lasti)
        self._looked_at[place] += 1
        return self._looked_at[place] > _FAMILIAR

    def _serious(self, finding_id: str) -> bool:
        return self._found[finding_id].severity != "harmless"

    def settle(self) -> None:
        """Judge the generators that might have got a seed after they were made."""
        pending, self._pending = self._pending, []
        for innocent, what, site in pending:
            if not innocent():
                self._add_unseeded(what, site)

    def _add_unseeded(self, what: str, site: Site) -> None:
        self.add(
            f"unseeded-generator:{what}@{site}",
            "may_change_bits",
            f"{site}: {what} without a seed, so that it does not follow from the run's seed. "
            "Give it one: the config's seed, or use repro_hydra.rng(name)",
            site,
        )


class _Inside:
    def __init__(self, local: threading.local) -> None:
        self._local = local

    def __enter__(self) -> None:
        self._local.depth = getattr(self._local, "depth", 0) + 1

    def __exit__(self, *_: object) -> None:
        self._local.depth -= 1


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", frame.f_code.co_filename))


def caller_of_hook() -> FrameType:
    """The frame that called the hook which calls this."""
    return sys._getframe(2)
