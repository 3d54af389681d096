"""`repro-hydra list` over many runs: the whole command, the first time, again, and with a selection by the config.

python benchmarks/bench_list.py [--runs 10000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from made_records import make_run
from users_environment import users_environment

FIRST_BOUND_S, AGAIN_BOUND_S = 1.0, 0.4
SETTLE_S = 2.5
"""Records younger than this are read again each time: they may change within the clock's step."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root, cache = Path(name, "outputs"), Path(name, "cache")
        for number in range(options.runs):
            make_run(
                root / f"{number // 100:04d}" / f"{number % 100:02d}",
                seed=number,
                result={"accuracy": 0.9, "loss": 1.0 / (number + 1)},
                config={"optimizer": {"lr": 0.1 * (number % 7)}, "model": {"width": 64, "depth": 3}},
            )
        time.sleep(SETTLE_S)
        environment = {**users_environment(), "XDG_CACHE_HOME": str(cache)}

        def once(*arguments: str) -> float:
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "repro_hydra", *arguments],
                check=True,
                stdout=subprocess.DEVNULL,
                env=environment,
            )
            return time.perf_counter() - began

        def first(*arguments: str) -> float:
            shutil.rmtree(cache, ignore_errors=True)
            return once(*arguments)

        plain = ("list", "--limit", "20", str(root))
        by_config = (*plain, "--where", "config.optimizer.lr<0.2", "--sort", "config.optimizer.lr")
        once(*plain)  # the disk's cache is warm from here on
        for told, measure, arguments, bound in (
            ("the command line alone", once, ("--version",), None),
            ("list, the first time", first, plain, FIRST_BOUND_S),
            ("list, again", once, plain, AGAIN_BOUND_S),
            ("list by config, the first time", first, by_config, None),
            ("list by config, again", once, by_config, None),
        ):
            times = sorted(measure(*arguments) for _ in range(options.repeats))
            limit = "" if bound is None else f"   bound {bound} s"
            print(f"{told:32s} {statistics.median(times):.2f} s [{times[0]:.2f} … {times[-1]:.2f}]{limit}")
        print(f"{options.runs} runs, {options.repeats} times each")


if __name__ == "__main__":
    main()
