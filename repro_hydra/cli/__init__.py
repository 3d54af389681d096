"""The command line, for people."""

from __future__ import annotations


def main() -> None:
    """Entry point of ``repro-hydra``."""
    import io
    import sys

    from repro_hydra.cli.app import command_line

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal cannot spell costs a question mark, not the command.
            stream.reconfigure(errors="replace")
    command_line(sys.argv[1] if len(sys.argv) > 1 else None)()
