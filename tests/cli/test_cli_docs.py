from __future__ import annotations

from pathlib import Path

import pytest
import typer
from scripts_loaded import load_script
from typer.main import get_command

from repro_hydra.cli.app import command_line

ROOT = Path(__file__).resolve().parents[2]
docs = load_script("make_cli_docs")
COMMANDS = dict(docs.commands(get_command(command_line()), ("repro-hydra",)))


def test_the_document_is_what_the_commands_say() -> None:
    written = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert written == docs.document(), "Run: python scripts/make_cli_docs.py"


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_each_command_and_each_option_has_its_help(path: tuple[str, ...]) -> None:
    command = COMMANDS[path]
    assert command.help, path
    for parameter in docs.parameters(command):
        assert parameter.help, (path, parameter.name)


def test_an_undocumented_option_would_be_noticed() -> None:
    other = typer.Typer()

    @other.command()
    def first(new: bool = False) -> None:
        """Do something."""

    (parameter,) = [item for item in docs.parameters(get_command(other)) if item.name == "new"]
    assert not parameter.help
    assert "--new" not in docs.document()


@pytest.mark.parametrize("name", get_command(command_line()).commands)  # type: ignore[attr-defined]
def test_a_command_made_alone_is_the_one_of_the_whole(name: str) -> None:
    """`repro-hydra NAME …` makes no other command: its options and their help must be the same."""
    alone = dict(docs.commands(get_command(command_line(name)), ("repro-hydra",)))
    assert set(alone) == {("repro-hydra",), *(path for path in COMMANDS if path[1:2] == (name,))}
    for path, command in alone.items():
        assert docs._section(path, command) == docs._section(path, COMMANDS[path]) or len(path) == 1


@pytest.mark.parametrize("slip", [(), ("lst",), ("--help",), ("--version",)], ids=str)
def test_what_is_no_command_is_answered_by_the_whole(slip: tuple[str, ...]) -> None:
    assert set(get_command(command_line(*slip)).commands) == {path[1] for path in COMMANDS if len(path) == 2}  # type: ignore[attr-defined]
