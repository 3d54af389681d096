"""What a run tells its user: a few lines on standard error, so that a script's own output stays its own."""

from __future__ import annotations

import sys

PREFIX = "repro: "


def say(text: str) -> None:
    """Print `text` on standard error, each line marked as ours. A closed stream is no reason to fail a run."""
    if sys.stderr is None:
        return
    lines = "".join(
        line if line.startswith(PREFIX) else f"{PREFIX}{line}" for line in text.splitlines(keepends=True)
    )
    try:
        sys.stderr.write(f"{lines}\n")
        sys.stderr.flush()
    except (OSError, ValueError):  # a pipe whose reader went away, or a stream closed by the task
        return
