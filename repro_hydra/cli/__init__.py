"""The command line, for people."""

from __future__ import annotations


def main() -> None:
    """Entry point of ``repro-hydra``."""
    from repro_hydra.cli.app import app

    app()
