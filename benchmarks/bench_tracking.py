"""What tracking costs a training loop, with a tracker that is dead, slow or well: bound 1 % of the step.

    python benchmarks/bench_tracking.py
    python benchmarks/bench_tracking.py --rounds 60 --steps-ms 5

Prints one JSON document. One Hydra job a tracker and step length: a torch training step of that length, in blocks that
take turns (their order drawn anew each round):

- `alone`: nothing is logged, and the process beside the job that talks to the tracker stands still (SIGSTOP);
- `again`: the same once more, which shows what differences this machine makes by itself;
- `0`, `1`, `10`: so many metrics are logged at each step, and the process beside the job runs.

Each round gives a ratio of every kind of block to its `alone`; told is the median over the rounds with a bootstrap
interval of 95 %, of the wall time and of the time that the training's own thread spent on a processor (`cpu`: what a
shared machine distorts least). `call_us` is one call of `log_metrics`, by itself. With ten metrics a step, 5 ms make
2,000 metrics a second.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

TRACKERS = ("dead", "slow", "well")
ANSWER_AFTER_S = 10.0
BLOCKS = ("alone", "again", "0", "1", "10")

JOB = """
import json, os, random, signal, time
import hydra, psutil, repro_hydra, torch

@hydra.main(version_base=None, config_path=None)
def main(cfg):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    width = 256
    model = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 10))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.001)

    def step(batch):
        optimizer.zero_grad()
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()

    def best(rows):
        batch = torch.randn(rows, width)
        step(batch)
        times = []
        for _ in range(15):
            begun = time.perf_counter()
            step(batch)
            times.append(time.perf_counter() - begun)
        return min(times)

    rows = 64
    for _ in range(8):  # towards the wanted length
        rows = max(8, round(rows * min(max(cfg.step_ms / 1000 / best(rows), 0.25), 4.0)))
    batch = torch.randn(rows, width)
    steps = max(4, round(cfg.block_s / best(rows)))
    metrics = {kind: {f"metric_{i}": i / 7 for i in range(int(kind))} for kind in ("0", "1", "10")}
    (beside,) = [child for child in psutil.Process().children() if "sender" in " ".join(child.cmdline())]
    for _ in range(120):  # until it has imported what it sends by, and waits
        before = sum(beside.cpu_times()[:2])
        time.sleep(0.5)
        if before > 0.5 and sum(beside.cpu_times()[:2]) - before < 0.02:
            break
    repro_hydra.log_metrics({"first": 1.0})
    time.sleep(1)
    chance = random.Random(0)
    rounds, calls = [], []

    def block(kind):
        logged = metrics.get(kind)
        if kind in ("alone", "again"):
            beside.suspend()
        else:
            beside.resume()
        step(batch)  # the first after the switch
        wall, cpu = time.perf_counter(), time.thread_time()
        for _ in range(steps):
            step(batch)
            if logged:
                repro_hydra.log_metrics(logged)
        return (time.perf_counter() - wall) / steps, (time.thread_time() - cpu) / steps

    for _ in range(cfg.rounds):
        order = ["alone", "again", "0", "1", "10"]
        chance.shuffle(order)
        rounds.append({kind: block(kind) for kind in order})
    beside.resume()
    for _ in range(200):
        step(batch)
        begun = time.thread_time()
        repro_hydra.log_metrics(metrics["10"])
        calls.append(time.thread_time() - begun)
        if sum(calls) > 0 and len(calls) * cfg.step_ms > 4000:
            break
    json.dump({"rounds": rounds, "calls": calls, "steps": steps}, open(cfg.out, "w"))

main()
"""


@contextmanager
def tracking(kind: str) -> Iterator[list[str]]:
    """The overrides that choose the tracker: nobody listens, or each answer takes ten seconds, or all is well."""
    if kind == "well":
        yield ["+repro/tracking=tensorboard", "hydra.callbacks.repro.tracking.tensorboard.wait_s=1"]
        return
    wait = "hydra.callbacks.repro.tracking.mlflow.wait_s=1"
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}"
        if kind == "slow":
            listening.listen(64)
            threading.Thread(target=_answer_late, args=(listening,), daemon=True).start()
        yield ["+repro/tracking=mlflow", f"hydra.callbacks.repro.tracking.mlflow.uri={uri}", wait]


def _answer_late(listening: socket.socket) -> None:
    held = []
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        held.append(connection)
        threading.Timer(ANSWER_AFTER_S, connection.close).start()


def measured(kind: str, step_ms: float, options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(JOB)
        asked = {
            "step_ms": step_ms,
            "block_s": options.block_s,
            "rounds": options.rounds,
            "out": folder / "out.json",
        }
        with tracking(kind) as chosen:
            subprocess.run(
                [
                    *(sys.executable, "train.py", "+repro=standard", *chosen),
                    *(f"+{key}={value}" for key, value in asked.items()),
                ],
                cwd=folder,
                env={**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
                check=True,
                capture_output=True,
                timeout=1200,
            )
        found: dict[str, Any] = json.loads((folder / "out.json").read_text())
        (metrics,) = folder.glob("outputs/*/*/.repro/metrics.jsonl")
        logged = sum(1 for _ in metrics.open())
    expected = 1 + 2 * options.rounds * found["steps"] + len(found["calls"])
    assert logged == expected, f"{kind}: {expected} lines were logged, {logged} are in the record"
    return {
        "tracker": kind,
        "step_ms": round(1e3 * statistics.median(item["alone"][0] for item in found["rounds"]), 2),
        "steps_a_block": found["steps"],
        "call_us": round(1e6 * statistics.median(found["calls"]), 1),
        **{
            f"{clock}_percent_more": {
                block: percent_more([item[block][place] / item["alone"][place] for item in found["rounds"]])
                for block in BLOCKS[1:]
            }
            for place, clock in enumerate(("wall", "cpu"))
        },
    }


def percent_more(ratios: list[float]) -> list[float]:
    """The median and its interval, in percent above 1."""
    import numpy as np

    from repro_hydra.stats.bootstrap import bootstrap_interval

    interval = bootstrap_interval(ratios, statistic=lambda drawn: np.median(drawn, axis=1))
    assert interval.low is not None
    assert interval.high is not None
    return [round(100 * (value - 1), 2) for value in (statistics.median(ratios), interval.low, interval.high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--block-s", type=float, default=0.4)
    parser.add_argument("--steps-ms", type=float, nargs="+", default=[5.0, 50.0])
    parser.add_argument("--trackers", nargs="+", choices=TRACKERS, default=list(TRACKERS))
    options = parser.parse_args()
    found = [measured(kind, ms, options) for ms in options.steps_ms for kind in options.trackers]
    print(json.dumps({"rounds": options.rounds, "cores": os.cpu_count(), "measured": found}, indent=2))


if __name__ == "__main__":
    main()
