"""``.repro/tracking/<tracker>.json``: how far a tracker got with a run. It outlives the run and its manifest."""

from __future__ import annotations

from repro_hydra.record.schema import JSON, SCHEMA, Part


class SentBefore(Part, frozen=True, kw_only=True):
    """Lines of an interrupted attempt's ``metrics.jsonl`` that were sent, and that the run holds no longer."""

    attempt: int
    """From 0: its file lies below ``attempts/``, under the next number."""
    begin: int
    end: int
    """In bytes."""


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
    attempt: int = 0
    """The attempt at the run, from 0, whose ``metrics.jsonl`` that is."""
    sent_before: list[SentBefore] = []  # noqa: RUF012 (as above)
    complete: bool = False
    """Everything was sent, of the run as it was then (`closed_as`)."""
    closed_as: str | None = None
    """The run's state, its time and the digest of its manifest when the tracker was told how it ended."""
    last_error: str | None = None


class SweepTracking(Part, frozen=True, kw_only=True):
    """The tracker's parent of a sweep's runs, below the sweep's ``.repro``."""

    schema: str = SCHEMA
    tracker: str
    remote_id: str
    place: str
    """Which server and experiment it lies in: another one gets a parent of its own."""
