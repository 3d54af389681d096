"""`repro_hydra.launcher.anew`: the script executed anew as `__main__`, up to its task. In fresh interpreters."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

HEAD = "import hydra, json, sys\nlog = []\n@hydra.main(version_base=None)\ndef train(config):\n    return 1\n"
DRIVER = """
import json, sys
from repro_hydra.launcher.anew import MainNotReached, run_at_main, task_id
from repro_hydra.program import Program
kind, target, wanted = sys.argv[1:4]
program = Program(kind=kind, target=target, argv0=target, cwd=".", path0=None)
def job(task):
    main = sys.modules["__main__"]
    return {"id": task_id(task), "value": task(None), "top": main.top, "name": main.__name__}
try:
    print(json.dumps(run_at_main(program, ("__main__", wanted), job)))
except MainNotReached as error:
    print(json.dumps({"not reached": str(error)}))
except SystemExit as error:
    print(json.dumps({"exit": error.code}))
import hydra.main
assert sys.modules["hydra.main"]._run_hydra.__module__ == "hydra._internal.utils"
"""


def run_anew(folder: Path, body: str, *, kind: str = "script", wanted: str = "train") -> Any:
    """What the driver says of a script with the usual head and this `body`."""
    script = folder / "script_under_test.py"
    script.write_text(HEAD + textwrap.dedent(body))
    target = str(script) if kind == "script" else script.stem
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, kind, target, wanted],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("kind", ["script", "module"])
@pytest.mark.parametrize(
    "call", ["if __name__ == '__main__':\n    train()\n", "train()\n"], ids=["guarded", "bare"]
)
def test_the_top_runs_and_the_task_is_reached(tmp_path: Path, kind: str, call: str) -> None:
    """The top-level code ran, as `__main__`, and the job got the function; a bare call does not recurse."""
    told = run_anew(tmp_path, f"top = 'ran'\n{call}", kind=kind)
    assert told == {"id": ["__main__", "train"], "value": 1, "top": "ran", "name": "__main__"}


def test_blocks_around_the_call_are_around_the_job(tmp_path: Path) -> None:
    """`except Exception` around the call does not swallow how the script is left."""
    told = run_anew(tmp_path, "top = 'in try'\ntry:\n    train()\nexcept Exception:\n    top = 'swallowed'\n")
    assert told["top"] == "in try"


def test_another_main_function_is_passed_over(tmp_path: Path) -> None:
    """A script with two tasks runs the one that the sweep was started from."""
    told = run_anew(
        tmp_path,
        "top = 0\n@hydra.main(version_base=None)\ndef prepare(config):\n    raise AssertionError\nprepare()\ntrain()\n",
    )
    assert told["id"] == ["__main__", "train"]


def test_a_script_that_never_calls_it_says_so(tmp_path: Path) -> None:
    """The reason names the function that was expected."""
    assert "'train'" in run_anew(tmp_path, "if False:\n    train()\n")["not reached"]


def test_an_exit_before_the_task_is_an_exit(tmp_path: Path) -> None:
    """`sys.exit(4)` at the script's top is not mistaken for a job that ran."""
    assert run_anew(tmp_path, "sys.exit(4)\ntrain()\n") == {"exit": 4}
