"""`repro_hydra.determinism.interpreter`: what the interpreter started with, judged in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from repro_hydra.config import CpuCapability, DeterminismConf
from repro_hydra.determinism import required_variables, restarted_already, variables_not_in_force
from repro_hydra.determinism.interpreter import CUBLAS_DETERMINISTIC, THREAD_VARIABLES

linux = pytest.mark.skipif(sys.platform != "linux", reason="only /proc tells the environment at the start")

REPORT = """
import json, os
from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import initial_environment, required_variables, variables_not_in_force
required = required_variables(DeterminismConf(), os.environ)
print(json.dumps(variables_not_in_force(required, initial_environment())))
"""


def report(source: str, environ: dict[str, str], *flags: str) -> Any:
    """The JSON that a fresh interpreter prints, with `environ` on top of ours without the variables in question."""
    base = {k: v for k, v in os.environ.items() if k not in (*THREAD_VARIABLES, *right_environment())}
    done = subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(source)],
        env=base | environ,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def right_environment() -> dict[str, str]:
    return required_variables(DeterminismConf(), {})


def test_strict_requires_hash_seed_workspace_and_threads() -> None:
    """The options name every variable that must be there from the start; switched off they name none."""
    required = required_variables(DeterminismConf(threads=2), {})
    assert required == {
        "PYTHONHASHSEED": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "NCCL_ALGO": "Ring",
        "NCCL_PROTO": "Simple",
        "MKL_CBWR": "AUTO",
        **dict.fromkeys(THREAD_VARIABLES, "2"),
    }
    assert required_variables(DeterminismConf(threads=None, interpreter=False), {}) == {}


@pytest.mark.parametrize("chosen", [*CUBLAS_DETERMINISTIC, ":8:8", ""])
def test_only_a_deterministic_workspace_of_the_user_is_kept(chosen: str) -> None:
    """cuBLAS is deterministic with two workspaces; the user's choice among them stands, another is replaced."""
    required = required_variables(DeterminismConf(), {"CUBLAS_WORKSPACE_CONFIG": chosen})
    kept = chosen if chosen in CUBLAS_DETERMINISTIC else ":4096:8"
    assert required["CUBLAS_WORKSPACE_CONFIG"] == kept


@pytest.mark.parametrize(
    ("name", "chosen", "kept"),
    [
        ("NCCL_ALGO", "Tree", "Tree"),
        ("NCCL_ALGO", "NVLS", "Ring"),
        ("NCCL_PROTO", "LL128", "LL128"),
        ("NCCL_PROTO", "", "Simple"),
        ("MKL_CBWR", "COMPATIBLE,STRICT", "COMPATIBLE,STRICT"),
        ("MKL_CBWR", "", "AUTO"),
    ],
)
def test_what_the_user_chose_among_the_deterministic_values_stays(name: str, chosen: str, kept: str) -> None:
    """And what is not among them is replaced."""
    assert required_variables(DeterminismConf(), {name: chosen})[name] == kept


def test_pins_are_variables_of_the_interpreters_start() -> None:
    """Each library is held to the same instructions; a pin beats what the user's shell had."""
    pinned = DeterminismConf(cpu_capability=CpuCapability.avx2, time_zone="UTC", locale="C.UTF-8")
    required = required_variables(
        pinned, {"MKL_CBWR": "AUTO", "ATEN_CPU_CAPABILITY": "avx512", "TZ": "Asia/Tokyo"}
    )
    assert (
        required
        | {
            "ATEN_CPU_CAPABILITY": "avx2",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "OPENBLAS_CORETYPE": "Haswell",
            "MKL_CBWR": "AVX2",
            "TZ": "UTC",
            "LC_ALL": "C.UTF-8",
        }
        == required
    )


def test_a_variable_missing_or_other_is_told_with_what_was_there() -> None:
    """None stands for a variable that was not there, the text for one that was another."""
    missing = variables_not_in_force({"A": "1", "B": "1", "C": "1"}, {"A": "1", "B": "2"})
    assert missing == {"B": "2", "C": None}


def test_a_process_started_right_lacks_nothing() -> None:
    """With all variables in its environment from the start, an interpreter is as required."""
    assert report(REPORT, right_environment()) == {}


@linux
def test_a_hash_seed_set_late_is_seen_not_in_force() -> None:
    """`os.environ["PYTHONHASHSEED"] = "0"` in a running process changes nothing, and is not taken for the setting."""
    late = "import os\nos.environ['PYTHONHASHSEED'] = '0'\nos.environ['OMP_NUM_THREADS'] = '1'\n"
    environ = {k: v for k, v in right_environment().items() if k not in ("PYTHONHASHSEED", "OMP_NUM_THREADS")}
    assert report(late + REPORT, environ) == {"PYTHONHASHSEED": None, "OMP_NUM_THREADS": None}


@linux
def test_another_hash_seed_is_named() -> None:
    """A user's own hash seed is not the one constant, and the answer says which it was."""
    assert report(REPORT, right_environment() | {"PYTHONHASHSEED": "7"}) == {"PYTHONHASHSEED": "7"}


@pytest.mark.parametrize("flag", ["-E", "-I", "-R"])
def test_flags_that_hide_the_variable_are_seen(flag: str) -> None:
    """Under -E and -I the variable is there and ignored: judged by what the interpreter does, not by the variable."""
    source = "import sys\nsys.path[:0] = " + repr([str(Path(__file__).resolve().parents[2])]) + "\n" + REPORT
    found = report(source, right_environment(), flag)
    hidden = report(
        "import json, sys\nprint(json.dumps(sys.flags.hash_randomization))", right_environment(), flag
    )
    if hidden:
        assert "ignored" in found["PYTHONHASHSEED"]
    else:  # -R gives way to the variable
        assert found == {}


@linux
def test_restart_puts_the_variables_in_force_once(tmp_path: Path) -> None:
    """The same command runs again with the same pid and arguments, knows that it did, and its child does not."""
    script = tmp_path / "again.py"
    script.write_text(
        textwrap.dedent(
            """
            import json, os, subprocess, sys
            from repro_hydra.config import DeterminismConf
            from repro_hydra.determinism import (initial_environment, required_variables, restart,
                                                 restarted_already, variables_not_in_force)
            required = required_variables(DeterminismConf(), os.environ)
            missing = variables_not_in_force(required, initial_environment())
            if missing and not restarted_already():
                print(json.dumps({"pid": os.getpid()}), flush=True)
                os.chdir("/")
                restart(required)
            child = subprocess.run(
                [sys.executable, "-c", "from repro_hydra.determinism import restarted_already as r; print(r())"],
                capture_output=True, text=True).stdout.strip()
            print(json.dumps({"pid": os.getpid(), "missing": missing, "restarted": restarted_already(),
                              "argv": sys.argv, "optimized": sys.flags.optimize, "child": child,
                              "hash": hash("a")}))
            """
        )
    )
    environ = {k: v for k, v in os.environ.items() if k not in right_environment()} | {"PWD": str(tmp_path)}
    runs = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-O", "again.py", "a b", "x='1'"],
            env=environ,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        runs.append([json.loads(line) for line in done.stdout.splitlines()])
    (before, after), (_, other) = runs
    assert after["pid"] == before["pid"]
    assert after | {"pid": 0, "hash": 0} == {
        "pid": 0,
        "missing": {},
        "restarted": True,
        "argv": ["again.py", "a b", "x='1'"],
        "optimized": 1,
        "child": "False",
        "hash": 0,
    }
    assert after["hash"] == other["hash"]


def test_a_process_that_was_not_restarted_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process's number in the inherited variable is not this one's."""
    monkeypatch.delenv("REPRO_HYDRA_RESTARTED_PID", raising=False)
    assert not restarted_already()
    monkeypatch.setenv("REPRO_HYDRA_RESTARTED_PID", str(os.getppid()))
    assert not restarted_already()
    monkeypatch.setenv("REPRO_HYDRA_RESTARTED_PID", str(os.getpid()))
    assert restarted_already()
