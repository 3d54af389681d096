"""What a job on Slurm costs beside plain `submitit_slurm`: the same sweep of short torch jobs, side by side.

    . /tmp/repro-hydra-slurm/env.sh; python benchmarks/bench_slurm.py --jobs 200

Both sweeps are submitted at the same time and share the cluster, so that whatever slows the machine slows both.
Compared is the time from a job's start to its end, as Slurm's accounting has it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from users_environment import users_environment

BOUND = 1.10
SCRIPT = """\
import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(cfg.steps):
        loss = torch.nn.functional.cross_entropy(model(torch.randn(32, 64)), torch.randint(0, 10, (32,)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(loss)


if __name__ == "__main__":
    main()
"""


def project(top: Path) -> None:
    (top / "conf").mkdir(parents=True)
    (top / "train.py").write_text(SCRIPT)
    (top / "conf" / "config.yaml").write_text("seed: 1\nsteps: 200\n")
    (top / ".gitignore").write_text("multirun/\nplain/\nours/\n")
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=bench", "-c", "user.email=bench@example.org", "commit", "-qm", "bench"],
    ):
        subprocess.run(["git", *command], cwd=top, check=True)


def sweep(top: Path, name: str, jobs: int, *more: str) -> subprocess.Popen[bytes]:
    fixed = ["hydra/launcher=submitit_slurm", f"hydra.sweep.dir={name}", f"hydra.launcher.name={name}"]
    return subprocess.Popen(
        [sys.executable, "train.py", "-m", *fixed, f"seed=range({jobs})", *more],
        cwd=top,
        stdout=subprocess.DEVNULL,
        env=users_environment() | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )


def job_seconds(name: str, since: str) -> list[float]:
    """The wall-clock seconds of each job of that name, by Slurm's accounting (whole seconds)."""
    fields = "Start,End,State"
    command = ["sacct", "-X", "-n", "-P", "--name", name, "-S", since, "-o", fields]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    seconds = []
    for line in lines:
        start, end, state = line.split("|")
        assert state == "COMPLETED", line
        seconds.append((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds())
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    jobs = parser.parse_args().jobs
    since = time.strftime("%Y-%m-%dT%H:%M:%S")
    with tempfile.TemporaryDirectory(prefix="repro-hydra-bench-") as folder:
        top = Path(folder, "project")
        project(top)
        running = [
            sweep(top, "plain", jobs, "hydra.launcher.array_parallelism=1"),
            sweep(top, "ours", jobs, "hydra.launcher.array_parallelism=1", "+repro=strict"),
        ]
        assert [process.wait() for process in running] == [0, 0]
    time.sleep(2)  # the accounting database is told of the last jobs
    plain, ours = (job_seconds(name, since) for name in ("plain", "ours"))
    assert len(plain) == len(ours) == jobs, (len(plain), len(ours))
    ratio = statistics.mean(ours) / statistics.mean(plain)
    print(f"plain submitit_slurm   {statistics.mean(plain):6.2f} s a job (n = {jobs})")
    print(f"+repro=strict          {statistics.mean(ours):6.2f} s a job (n = {jobs})")
    print(f"ratio                  {ratio:6.3f}  (bound {BOUND})")
    return 0 if ratio <= BOUND else 1


if __name__ == "__main__":
    raise SystemExit(main())
