"""Mirrors of the record where researchers already look. The record in the run directory is the truth.

A process beside the job reads the record as it grows and sends it on, so that a tracker can neither slow nor stop
the job. How far each tracker got stands in ``.repro/tracking/``; what is missing is sent later by
``repro-hydra track sync``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro_hydra.tracking.delivery import deliver as deliver
    from repro_hydra.tracking.find import TrackerMissing as TrackerMissing
    from repro_hydra.tracking.find import find_tracker as find_tracker
    from repro_hydra.tracking.protocol import Opened as Opened
    from repro_hydra.tracking.protocol import Point as Point
    from repro_hydra.tracking.protocol import Tracker as Tracker
    from repro_hydra.tracking.view import RunView as RunView

_HOMES = {
    "deliver": "delivery",
    "TrackerMissing": "find",
    "find_tracker": "find",
    "Opened": "protocol",
    "Point": "protocol",
    "Tracker": "protocol",
    "RunView": "view",
}
__all__ = [*_HOMES]  # noqa: PLE0604 (all of them are strings)


def __getattr__(name: str) -> Any:
    """What is asked for: a run without trackers needs one module of this package, and not those."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
