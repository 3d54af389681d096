"""The process of one job: ``python -m repro_hydra.launcher.job_process SPEC OUTCOME PARENT``, or a fork."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any

from repro_hydra.inputs.start import begin_job
from repro_hydra.launcher.anew import prepare_interpreter, run_at_main
from repro_hydra.launcher.edited import why_not_reached
from repro_hydra.launcher.pickling import loads
from repro_hydra.launcher.spec import read_spec, write_outcome

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Be killed when `parent` dies, so that a killed sweep leaves no orphans (Linux; see prctl(2))."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
        os.kill(os.getpid(), signal.SIGKILL)


def run_spec(spec_path: Path, outcome_path: Path, environment: Any = None) -> None:
    """Do the work of `spec_path` in this process and write what came of it to `outcome_path`.

    Parameters
    ----------
    environment : EnvironmentRecord, optional
        What the clean process captured before it forked this one.
    """
    spec = read_spec(spec_path)
    spec_path.unlink()
    by_reference = spec.program is not None
    value, error = None, None
    reached = False

    def work(task: Any) -> Any:
        nonlocal reached
        reached = True
        return loads(spec.work)(task, environment)

    try:
        os.chdir(spec.cwd)
        os.environ.clear()
        os.environ.update(spec.environ)
        program, argv = spec.program, spec.argv
        if spec.frozen is not None:
            from repro_hydra.launcher.stand_in import enter

            program, argv = enter(spec.frozen, program, argv, spec.cwd)
        prepare_interpreter(program, argv)
        begin_job()
        value = work(None) if program is None else run_at_main(program, spec.task, work)
    except BaseException as caught:  # noqa: BLE001 (SystemExit and KeyboardInterrupt are told to the sweep too)
        error = caught if reached else why_not_reached(spec.code_at_start, caught)
    write_outcome(outcome_path, value, error, main_by_reference=by_reference, frozen=spec.frozen)


def main(arguments: list[str]) -> int:
    """Entry of the fresh interpreter."""
    spec, outcome, parent = arguments
    if parent != "0":
        die_with_parent(int(parent))
    # `python -m` put the working directory in front; the program's own first entry comes with the spec.
    if not getattr(sys.flags, "safe_path", False) and sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109
        del sys.path[0]
    run_spec(Path(spec), Path(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
