"""``.repro/tracking/<tracker>.json``: how far a tracker got with a run. It outlives the run and its manifest."""

from __future__ import annotations

from repro_hydra.record.schema import JSON, SCHEMA, Part


class TrackerState(Part, frozen=True, kw_only=True):
    """One tracker's copy of one run."""

    schema: str = SCHEMA
    tracker: str
    options: dict[str, JSON] = {}  # noqa: RUF012 (msgspec gives each struct its own copy)
    """As configured, without secrets."""
    remote_id: str | None = None
    """What the tracker calls the run."""
    remote_url: str | None = None
    metrics_bytes: int = 0
    """So much of ``metrics.jsonl`` was sent and acknowledged."""
    complete: bool = False
    """Everything up to the manifest was sent."""
    last_error: str | None = None


class SweepTracking(Part, frozen=True, kw_only=True):
    """The tracker's parent of a sweep's runs, below the sweep's ``.repro``."""

    schema: str = SCHEMA
    tracker: str
    remote_id: str
    place: str
    """Which server and experiment it lies in: another one gets a parent of its own."""
