"""What a Slurm job does before its interpreter starts: lines of the batch script, after the user's own `setup`.

There the environment can still be put right (the hash seed is read once, at the start), and a node that cannot run the
job can say so in its own words.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from repro_hydra.record.paths import SweepPaths

NOT_SHARED, NO_PYTHON = 78, 79
"""Exit statuses of the batch script. Slurm keeps them, also where the node can write no log."""

MEANINGS = {
    NOT_SHARED: "the node does not see the sweep's directory: it must lie on a file system that all nodes share",
    NO_PYTHON: "the node has no such Python: the environment must lie on a file system that all nodes share",
}

_AGAIN = r"""
repro_again() {
  local status=$? job id=${SLURM_ARRAY_JOB_ID:+${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID}
  id=${id:-$SLURM_JOB_ID}
  [ $status != 0 ] && job=$(scontrol --oneliner show job "$id") || return 0
  case $job in *JobState=RUNNING*) ;; *) return 0 ;; esac
  case $status:$job in 140:* | *" PreemptTime="[0-9]*) scontrol requeue "$id" ;; esac
}
[ -n "$(trap -p EXIT)" ] || trap repro_again EXIT
""".strip().splitlines()
"""At the script's end, whatever became of Python: queue a job again that was preempted, and ended in its grace time
(Slurm itself only requeues what it has to kill), or that USR2 (128 + 12) ended before anybody listened. One that was
cancelled, or is requeued already, does not count as running. The last task of an array has the array's own number
for SLURM_JOB_ID, which would mean all of them."""

_REFUSE = 'repro_refuse() { echo "repro: node ${SLURMD_NODENAME:-$(hostname)}: $2" >&2; exit "$1"; }'


def setup_lines(required: Mapping[str, str], sweep_dir: Path, python: str, cwd: str) -> list[str]:
    """The lines that go before ``srun``.

    Parameters
    ----------
    required : mapping
        Variables that the job's interpreter must start with.
    """
    exports = [f"export {name}={shlex.quote(value)}" for name, value in sorted(required.items())]
    record = shlex.quote(str(SweepPaths(sweep_dir).sweep))
    return [
        *exports,
        *_AGAIN,
        _REFUSE,
        f"[ -f {record} ] && [ -d {shlex.quote(cwd)} ] || repro_refuse {NOT_SHARED} "
        + shlex.quote(f"{sweep_dir} or {cwd} is not there: {MEANINGS[NOT_SHARED]}"),
        f"[ -x {shlex.quote(python)} ] || repro_refuse {NO_PYTHON} "
        + shlex.quote(f"{python} is not there: {MEANINGS[NO_PYTHON]}"),
    ]
