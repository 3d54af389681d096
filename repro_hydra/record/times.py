"""Times as the record writes them: UTC, RFC 3339."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> str:
    """The time now, as in ``2026-11-23T10:00:00.123456Z``."""
    # Without `strftime` and a change of zone: a training loop asks for it at each line that it logs.
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")[: -len("+00:00")] + "Z"


def format_utc(moment: datetime) -> str:
    """RFC 3339 with microseconds and ``Z``; `moment` must know its time zone."""
    if moment.tzinfo is None:
        raise ValueError("a time without a time zone cannot be recorded")
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_utc(text: str) -> datetime:
    """Read what `format_utc` wrote, with any offset and with or without a fraction.

    Raises
    ------
    ValueError
        Where `text` is no RFC 3339 time.
    """
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment
