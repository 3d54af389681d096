"""``repro-hydra data``, as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from repro_hydra.cli.data import app

ROOT = Path(__file__).parents[2]
DOCUMENT = {"name", "version", "digest", "path", "size_bytes", "files", "description", "source", "created_at"}


@pytest.fixture
def here(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(project)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    (project / "data").mkdir()
    (project / "data" / "a").write_text("1")
    return project


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def document(*arguments: str, status: int = 0) -> Any:
    result = call(*arguments, "--json")
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def test_add_show_and_list_print_the_documents(here: Path) -> None:
    added = document("add", "data", "-m", "first", "--source", "doi:10/x")
    assert set(added) >= DOCUMENT
    assert (added["name"], added["path"], added["files"], added["size_bytes"]) == ("data", "data", 1, 1)
    assert (added["description"], added["source"]) == ("first", "doi:10/x")
    assert document("show", "data") == added
    (here / "data" / "a").write_text("2")
    newer = document("add", "data", "--name", "data")
    assert [v["version"] for v in document("list")] == [newer["version"], added["version"]]


def test_verify_and_diff_answer_by_their_exit_status(here: Path) -> None:
    first = document("add", "data")["version"]
    assert document("verify") == {"ok": True, "findings": []}
    assert document("verify", "data", "--paranoid")["ok"]
    (here / "data" / "a").write_text("2")
    verdict = document("verify", "--all", status=1)
    assert set(verdict["findings"][0]) == {"id", "severity", "message", "remedy"}
    assert document("diff", first, status=1)["changed"] == ["a"]
    second = document("add", "data")["version"]
    assert document("diff", first, second, status=1)["changed"] == ["a"]
    assert document("diff", first, first)["same"]


def test_the_remedy_of_a_changed_dataset_works(here: Path) -> None:
    document("add", "data")
    (here / "data" / "a").write_text("2")
    remedy = document("verify", status=1)["findings"][0]["remedy"]
    call(*remedy.partition("repro-hydra data ")[2].split())
    assert document("verify")["ok"]


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["add", "nowhere"], 2),
        (["add", "."], 2),
        (["add", "data", "--name", "a@b"], 2),
        (["add", "data", "--ignore", "/"], 2),
        (["add"], 2),
        (["show", "nothing"], 2),
        (["verify", "nothing"], 2),
        (["verify", "data", "--all"], 2),
        (["diff", "nothing", "nothing"], 2),
        (["list", "--bogus"], 2),
    ],
)
def test_misuse_is_a_line_on_stderr(here: Path, arguments: list[str], status: int) -> None:
    result = call(*arguments)
    assert result.exit_code == status
    assert result.stdout == ""
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_a_broken_registry_is_an_answer_of_verify_and_an_error_of_the_others(here: Path) -> None:
    document("add", "data")
    registry = here / "repro-data" / "registry.jsonl"
    registry.write_text("<<<<<<< HEAD\n")
    assert document("verify", status=1)["findings"][0]["id"] == "data-registry"
    for arguments in (["list"], ["add", "data"], ["show", "data"]):
        result = call(*arguments)
        assert (result.exit_code, result.stdout) == (1, "")
        assert "conflict marker" in result.stderr


def test_tables_for_people(here: Path) -> None:
    call("add", "data", "-m", "one [red] \x1b[31m line\nand another")
    listed = call("list")
    assert "one [red]" in listed.stdout
    assert "\x1b" not in listed.stdout + call("show", "data").stdout
    assert len(listed.stdout.splitlines()) == 2
    assert call("verify").stdout == "unchanged\n"
    (here / "data" / "b").touch()
    assert "1 added" in call("diff", "data").stdout
    assert "remedy:" in call("verify").stdout


def test_a_real_process_prints_one_document_and_no_bar(here: Path) -> None:
    with (here / "big").open("wb") as stream:
        stream.truncate(40 << 20)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    program = "from repro_hydra.cli.data import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", program, "add", "big", "--json"],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["size_bytes"] == 40 << 20


def test_a_terminal_gets_a_bar(here: Path) -> None:
    import pty

    with (here / "big").open("wb") as stream:
        stream.truncate(80 << 20)
    master, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    program = "from repro_hydra.cli.data import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", program, "add", "big", "--json"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
    )
    os.close(slave)
    assert os.read(master, 1 << 16)
    assert json.loads(done.stdout)["name"] == "big"
