"""The table that a sweep ends with."""

from __future__ import annotations

import sys
from pathlib import Path


def print_closing_table(sweep_dir: Path) -> None:
    """Print the aggregate of `sweep_dir`, failed and missing seeds included."""
    from repro_hydra.sweep.aggregate import aggregate
    from repro_hydra.sweep.render import plain_console, render_aggregate

    sys.stderr.flush()
    render_aggregate(aggregate([sweep_dir]), plain_console())
    sys.stdout.flush()
