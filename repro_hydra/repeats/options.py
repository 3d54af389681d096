"""The options of ``hydra/sweeper=repro_seeds``, checked before anything is started."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from repro_hydra.repeats.rules import Budget, Difference, Limits, Rule, Width

RULES = ("width", "difference", "budget")
_KEY = "hydra.sweeper"


class BadOption(ValueError):
    """An option that makes no sense; the message says where, what was expected and what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedOptions:
    """As they stand at ``hydra.sweeper``."""

    rule: str = "width"
    """``width`` (Stein's two stages), ``difference`` (an anytime-valid comparison) or ``budget``."""
    metric: str | None = None
    """Of the task's result; the primary metric, or the only one, if not given."""
    half_width: float | None = None
    relative_half_width: float | None = None
    baseline: str | None = None
    """Overrides of the configuration that the others are compared with; the first one if not given."""
    effect: float = 1.0
    negligible: float = 0.0
    confidence: float = 0.95
    initial: int = 5
    batch: int = 5
    """Seeds that are added to a configuration at a time."""
    max_seeds: int = 50
    max_jobs: int | None = None
    max_hours: float | None = None
    first_seed: int = 0
    resume: str | None = None
    """The directory of an earlier sweep by this sweeper, whose seeds count."""
    params: Any = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> SeedOptions:
        """Check the types and ranges.

        Raises
        ------
        BadOption
            For the first that is wrong.
        """
        options = cls(**{name: config[name] for name in cls.__slots__ if name in config})
        options._check()
        return options

    def _check(self) -> None:
        if self.rule not in RULES:
            raise _bad("rule", f"one of {', '.join(RULES)}", self.rule)
        for name in ("metric", "baseline", "resume"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, str):
                raise _bad(name, "a text", value)
        for name, least in (
            ("initial", 2),
            ("batch", 1),
            ("max_seeds", 2),
            ("max_jobs", 1),
            ("first_seed", 0),
        ):
            value = getattr(self, name)
            if value is None and name == "max_jobs":
                continue
            if type(value) is not int or value < least:
                raise _bad(name, f"a whole number of at least {least}", value)
        for name in ("half_width", "relative_half_width", "max_hours", "effect"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise _bad(name, "a positive number", value)
        if not (_is_number(self.negligible) and self.negligible >= 0):
            raise _bad("negligible", "a number of at least 0", self.negligible)
        if not (_is_number(self.confidence) and 0 < self.confidence < 1):
            raise _bad("confidence", "a number between 0 and 1", self.confidence)
        if self.initial > self.max_seeds:
            raise _bad("initial", f"at most max_seeds, {self.max_seeds},", self.initial)
        widths = [value for value in (self.half_width, self.relative_half_width) if value is not None]
        if self.rule == "width" and len(widths) != 1:
            found = "both" if widths else "neither"
            raise BadOption(
                f"{_KEY}: rule=width: expected either half_width or relative_half_width, found {found}. "
                f"Run with: {_KEY}.half_width=0.01"
            )
        if self.rule != "width" and widths:
            raise BadOption(f"{_KEY}: rule={self.rule}: expected no half_width, which is for rule=width")

    def rule_for(self, baseline: int) -> Rule:
        """The rule itself."""
        limits = Limits(initial=self.initial, max_seeds=self.max_seeds)
        if self.rule == "width":
            return Width(
                limits=limits,
                half_width=self.half_width,
                relative=self.relative_half_width,
                confidence=self.confidence,
            )
        if self.rule == "difference":
            return Difference(
                limits=limits,
                baseline=baseline,
                confidence=self.confidence,
                effect=self.effect,
                negligible=self.negligible,
            )
        return Budget(limits=limits, confidence=self.confidence)

    def of_the_decisions(self) -> dict[str, Any]:
        """The options that a resumed sweep must share with the earlier one."""
        names = ("rule", "metric", "half_width", "relative_half_width", "baseline", "effect", "negligible")
        return {name: getattr(self, name) for name in (*names, "confidence", "initial", "first_seed")}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _bad(name: str, expected: str, found: object) -> BadOption:
    return BadOption(f"{_KEY}.{name}: expected {expected}, found {found!r}")
