"""`repro_hydra.program`: how a process was started, asked of processes started in each way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from repro_hydra.program import NoProgram, describe_program, why_not_restartable

ASK = """
import json
from repro_hydra.program import Program, describe_program, ignores_environment, why_not_restartable
program = describe_program()
known = isinstance(program, Program)
print(json.dumps({
    "kind": program.kind if known else None, "target": program.target if known else None,
    "cwd": program.cwd if known else None, "path0": program.path0 if known else None,
    "reason": None if known else program.reason, "restart": why_not_restartable()}))
"""


def ask(folder: Path, *arguments: str, text: str | None = None) -> Any:
    """What a process started with these arguments in `folder` says of itself."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, input=text, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A script, and a package with the same code as a module and as its `__main__`."""
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").touch()
    for name in ("script.py", "pkg/train.py", "pkg/__main__.py"):
        (tmp_path / name).write_text(ASK)
    return tmp_path


@pytest.mark.parametrize("flags", [[], ["-u", "-X", "dev", "-W", "ignore"]])
def test_a_script_is_known_by_its_path(folder: Path, flags: list[str]) -> None:
    """A relative script is named absolutely, with its folder first on the path, whatever the flags."""
    told = ask(folder, *flags, "script.py", "x=1")
    assert told == {
        "kind": "script",
        "target": str(folder / "script.py"),
        "cwd": str(folder),
        "path0": str(folder),
        "reason": None,
        "restart": None,
    }


@pytest.mark.parametrize(("module", "target"), [("pkg.train", "pkg.train"), ("pkg", "pkg")])
def test_a_module_is_known_by_its_name(folder: Path, module: str, target: str) -> None:
    """`python -m` programs are modules, a package's `__main__` by the package's name."""
    told = ask(folder, "-m", module)
    assert (told["kind"], told["target"], told["path0"]) == ("module", target, str(folder))
    assert told["restart"] is None


def test_code_without_a_file_cannot_be_started_again(folder: Path) -> None:
    """-c and standard input leave nothing to execute anew, and say so."""
    for told in (ask(folder, "-c", ASK), ask(folder, "-", text=ASK), ask(folder, text=ASK)):
        assert told["kind"] is None
        assert told["reason"]
        assert "-c, standard input" in told["restart"]


def test_a_debugger_is_not_taken_down(folder: Path) -> None:
    """Under pdb the process is neither replaced nor run anew; a trace function of another kind is no debugger."""
    (folder / "debugged.py").write_text(
        f"import bdb, sys\ndebugger = bdb.Bdb()\ndebugger.reset()\nsys.settrace(debugger.trace_dispatch)\n{ASK}"
    )
    assert ask(folder, "debugged.py")["restart"] == "a debugger is attached"
    (folder / "traced.py").write_text(f"import sys\nsys.settrace(lambda *_: None)\n{ASK}")
    assert ask(folder, "traced.py")["restart"] is None


def test_a_script_that_changed_directory_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `chdir` at the script's top does not lose the script: the shell's PWD tells where it was started."""
    (folder / "moves.py").write_text(f"import os\nos.chdir('/')\n{ASK}")
    monkeypatch.setenv("PWD", str(folder))
    told = ask(folder, "moves.py")
    assert (told["target"], told["cwd"]) == (str(folder / "moves.py"), str(folder))


def test_pytest_itself_is_not_replaced() -> None:
    """This very process runs tests: replacing it would end them with status 0 and no output."""
    program = describe_program()
    assert isinstance(program, NoProgram)
    assert program.reason == why_not_restartable() == "it runs inside pytest"
