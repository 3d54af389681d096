"""`repro-hydra verify` over many runs: time and peak memory of the whole command, for one run, some and all.

python benchmarks/bench_verify.py [--runs 1000]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from users_environment import users_environment

SCRIPT = """\
import hydra
import numpy as np


@hydra.main(version_base=None)
def main(cfg):
    np.save("weights.npy", np.random.rand(100))
    return float(np.random.rand())


main()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        top = Path(name, "project")
        top.mkdir()
        (top / "train.py").write_text(SCRIPT)
        (top / ".gitignore").write_text("outputs/\n")
        environment = users_environment() | {"XDG_STATE_HOME": str(Path(name, "state"))}
        who = ("-c", "user.name=A User", "-c", "user.email=user@example.org")
        for command in (
            ("git", "init", "-q"),
            ("git", "add", "-A"),
            ("git", *who, "commit", "-q", "-m", "a commit"),
            (
                sys.executable,
                "train.py",
                "+repro=strict",
                "hydra.job.chdir=true",
                "hydra.run.dir=outputs/one",
            ),
        ):
            subprocess.run(command, cwd=top, env=environment, check=True, capture_output=True)
        for number in range(options.runs):
            shutil.copytree(top / "outputs/one", top / f"outputs/many/{number}")
        runs = [f"outputs/many/{number}" for number in range(options.runs)]
        for count in sorted({1, max(1, options.runs // 10), options.runs}):
            began = time.perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "repro_hydra", "verify", "--json", *runs[:count]],
                cwd=top,
                env=environment,
                stdout=subprocess.DEVNULL,
            )
            _, status, used = os.wait4(process.pid, 0)
            wall = time.perf_counter() - began
            assert status == 0, f"verify ended with {status}"
            cpu = used.ru_utime + used.ru_stime
            print(
                f"{count:6d} runs {wall:7.2f} s, {cpu:.2f} s of CPU, at most {used.ru_maxrss / 1024:.0f} MiB"
            )


if __name__ == "__main__":
    main()
