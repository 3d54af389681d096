"""Write ``docs/cli.md`` from the commands themselves; a test fails while it lags behind them.

python scripts/make_cli_docs.py            # write it
python scripts/make_cli_docs.py --check    # exit status 1 if it is not up to date
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.main import get_command

from repro_hydra.cli.app import command_line

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

_HEAD = """\
# Command line

<!-- Written by scripts/make_cli_docs.py from the commands themselves: change their help texts, not this file. -->

`repro-hydra` (or `python -m repro_hydra`) reads the records of runs and sweeps. With `--json` a command prints one JSON
document on standard output and nothing else there; messages go to standard error.

| exit status | means |
|---|---|
| 0 | yes, or done |
| 1 | no: a check failed, a record is damaged, there is nothing to aggregate |
| 2 | misuse: no such directory, option or run |

Where a run is asked for, give its directory, its `.repro` folder, its id, or the beginning of the id (four hexadecimal
digits at least, and unique).
"""


def document() -> str:
    """The whole of ``docs/cli.md``."""
    parts = [_HEAD]
    for path, command in commands(get_command(command_line()), ("repro-hydra",)):
        parts.append(_section(path, command))
    return "\n".join(parts)


def commands(command: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The command and all below it, as they are typed."""
    yield path, command
    # The classes differ between versions of typer; what they hold does not.
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


def parameters(command: Any) -> list[Any]:
    """Arguments and options, but for ``--help``."""
    return [parameter for parameter in command.params if "--help" not in parameter.opts]


def name_of(parameter: Any) -> str:
    """As it is typed: ``--limit INTEGER``, ``ROOT...``."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    if parameter.is_flag:
        return names
    return f"{names} {parameter.metavar or parameter.name.upper()}"


def _section(path: tuple[str, ...], command: Any) -> str:
    title = " ".join(path)
    arguments = [name_of(item) for item in parameters(command) if item.param_type_name == "argument"]
    options = [item for item in parameters(command) if item.param_type_name == "option"]
    usage = [title, *(["[OPTIONS]"] if options else []), *arguments]
    if getattr(command, "commands", None):
        usage.append("COMMAND")
    lines = [f"## `{title}`", "", f"    {' '.join(usage)}", "", (command.help or "").strip(), ""]
    rows = [f"| `{name_of(item)}` | {_help_of(item)} |" for item in parameters(command)]
    if rows:
        lines += ["| | |", "|---|---|", *rows, ""]
    return "\n".join(lines)


def _help_of(parameter: Any) -> str:
    text = " ".join((parameter.help or "").split()).replace("|", "\\|")
    if parameter.param_type_name == "option" and not parameter.is_flag:
        if parameter.multiple:
            return text
        if parameter.default is not None and not callable(parameter.default):
            return f"{text} Default: `{parameter.default}`."
    return text


def main() -> int:
    """Write the document, or compare it."""
    text = document()
    if "--check" in sys.argv[1:]:
        current = DOCUMENT.read_text(encoding="utf-8") if DOCUMENT.exists() else ""
        if current != text:
            print(f"{DOCUMENT}: not up to date. Run: python scripts/make_cli_docs.py", file=sys.stderr)
            return 1
        return 0
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
