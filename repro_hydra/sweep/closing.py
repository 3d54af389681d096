"""The table that a sweep ends with."""

from __future__ import annotations

from pathlib import Path

from repro_hydra.standard_streams import flush_standard_streams


def print_closing_table(sweep_dir: Path) -> None:
    """Print the aggregate of `sweep_dir`, failed and missing seeds included."""
    from repro_hydra.sweep.aggregate import aggregate
    from repro_hydra.sweep.render import plain_console, render_aggregate

    flush_standard_streams()
    render_aggregate(aggregate([sweep_dir]), plain_console())
    flush_standard_streams()
