"""The command line, for people."""

from __future__ import annotations


def main() -> None:
    """Entry point of ``repro-hydra``."""
    import io
    import os
    import sys
    from pathlib import Path

    from repro_hydra.cli.app import command_line

    if sys.stdout is None:  # closed by who started it (>&-): Python then has no stream at all
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (open as long as the process is)
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 (open as long as the process is)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A name that the terminal cannot spell costs a question mark, not the command.
            stream.reconfigure(errors="replace")
    command_line(sys.argv[1] if len(sys.argv) > 1 else None)()
