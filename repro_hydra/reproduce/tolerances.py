"""What is near enough, metric by metric: what was asked for now, else what the run's own config says."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from repro_hydra.record.schema import JSON
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.results import DEFAULT_ATOL, DEFAULT_RTOL, Tolerance

_LARGEST = sys.float_info.max
"""Of a float: JSON has integers that are none."""


@dataclass(frozen=True, slots=True)
class Tolerances:
    """One for most, and those of the metrics that have their own."""

    usual: Tolerance = field(default_factory=Tolerance)
    own: Mapping[str, Tolerance] = field(default_factory=dict)
    """By name or pattern; the first that fits."""

    @property
    def all(self) -> frozenset[Tolerance]:
        """Whatever may hold for some metric."""
        return frozenset((self.usual, *self.own.values()))

    def of(self, metric: str) -> Tolerance:
        """The tolerance of `metric`."""
        for pattern, tolerance in self.own.items():
            if fnmatchcase(metric, pattern):
                return tolerance
        return self.usual

    def own_of(self, metrics: Iterable[str]) -> dict[str, dict[str, float]]:
        """Those of `metrics` that have another than the usual one."""
        return {
            name: {"rtol": tolerance.rtol, "atol": tolerance.atol}
            for name in metrics
            if (tolerance := self.of(name)) != self.usual
        }

    def shown(self, metrics: Iterable[str]) -> str:
        """For people: the usual one, and which of `metrics` have another."""
        told = {"": {"rtol": self.usual.rtol, "atol": self.usual.atol}, **self.own_of(metrics)}
        return "; ".join(
            f"{name} rtol={own['rtol']:g}, atol={own['atol']:g}".strip() for name, own in told.items()
        )


def tolerances_of(original: Original | None, rtol: float | None, atol: float | None) -> Tolerances:
    """Those that hold for a reproduction of `original`.

    Parameters
    ----------
    original : Original or None
        Its config holds ``tolerance`` as the run had it; without one the defaults hold. A stranger's is not to be
        given here: whoever made the results would say what is near enough to them.
    rtol, atol : float or None
        What was asked for now; it holds for every metric.
    """
    config = None if original is None or original.config is None else original.config.repro
    recorded = config.get("tolerance") if isinstance(config, dict) else None
    recorded = recorded if isinstance(recorded, dict) else {}
    usual = Tolerance(
        _first(rtol, recorded.get("rtol"), DEFAULT_RTOL), _first(atol, recorded.get("atol"), DEFAULT_ATOL)
    )
    own = recorded.get("metrics")
    return Tolerances(
        usual,
        {
            str(pattern): Tolerance(
                _first(rtol, chosen.get("rtol"), usual.rtol), _first(atol, chosen.get("atol"), usual.atol)
            )
            for pattern, chosen in (own.items() if isinstance(own, dict) else ())
            if isinstance(chosen, dict)
        },
    )


def _first(asked: float | None, recorded: JSON, otherwise: float) -> float:
    """A record may come from anybody: what is no tolerance does not widen one."""
    if asked is not None:
        return asked
    if isinstance(recorded, (int, float)) and not isinstance(recorded, bool) and 0 <= recorded <= _LARGEST:
        return float(recorded)
    return otherwise
