"""What tracking costs a training loop that logs 2,000 metrics a second: bound 1 % of the step.

    python benchmarks/bench_tracking.py                    # under two minutes
    python benchmarks/bench_tracking.py --seconds 600      # narrower intervals
    python benchmarks/bench_tracking.py --arms none mlflow-file --steps-ms 5
    python benchmarks/bench_tracking.py --threads 2        # as many as cores: nothing is left for the process beside

Prints one JSON document; how far it is goes to standard error. One real Hydra job a tracker (an arm), all of them
there at once and one computing at a time, in turns whose order is drawn anew each round. The arms:

- `none`: no tracker, only `metrics.jsonl`;
- `well`: TensorBoard, which takes everything at once;
- `slow`: MLflow's client, whose server answers each call after ten seconds;
- `down`: MLflow's client, whose server is not there;
- `mlflow-file` (if asked for): MLflow without a server, whose database the process beside the job writes.

A turn is a training step of that length again and again, in four stretches: silent, logging, logging, silent (so that
a machine that grows slower is no difference). In the silent ones nothing is logged and the process beside the job
stands still (SIGSTOP). A round gives one ratio of logging to silent, told as percent more, with the median over the
rounds and its bootstrap interval of 95 %: `wall`, and `cpu`, the time that the training's own thread spent on a
processor (what a shared machine distorts least). `noise` is the second silent stretch over the first one: what this
machine makes of nothing. `call_us` is a call of `log_metrics` within the training, by itself (median, and nine in
ten), `call_percent` its median as a part of the step. `beside_cpu_percent` is what the process beside the job used of
one processor meanwhile. In the end each line that was logged is looked for in the record.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

BY_DEFAULT = ("none", "well", "slow", "down")
ARMS = (*BY_DEFAULT, "mlflow-file")
ANSWER_AFTER_S = 10.0
START_LIMIT_S = 120.0
TURN_LIMIT_S = 60.0
SETTLE_LIMIT_S = 30.0
LEAST_ROUNDS = 10
STRETCHES = ("silent", "logging", "logging", "silent")
JOB = Path(__file__).with_name("tracked_training.py")


@contextmanager
def tracked_by(arm: str) -> Iterator[list[str]]:
    """The overrides that choose the tracker."""
    if arm == "none":
        yield []
    elif arm == "well":
        yield ["+repro/tracking=tensorboard", "hydra.callbacks.repro.tracking.tensorboard.wait_s=1"]
    else:
        by_mlflow = ["+repro/tracking=mlflow", "hydra.callbacks.repro.tracking.mlflow.wait_s=1"]
        with _answering(arm) as uri:
            yield [*by_mlflow, *([f"hydra.callbacks.repro.tracking.mlflow.uri={uri}"] if uri else [])]


@contextmanager
def _answering(arm: str) -> Iterator[str | None]:
    if arm == "slow":
        with ThreadingHTTPServer(("127.0.0.1", 0), _Late) as server:
            server.daemon_threads, server.block_on_close = True, False
            Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
    elif arm == "down":
        with socket.socket() as taken:  # and nobody listens there
            taken.bind(("127.0.0.1", 0))
            yield f"http://127.0.0.1:{taken.getsockname()[1]}"
    else:
        yield None


class _Late(BaseHTTPRequestHandler):
    def handle_any(self) -> None:
        time.sleep(ANSWER_AFTER_S)
        with suppress(OSError):  # whoever asked has gone
            self.send_error(503)

    do_GET = do_POST = handle_any

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@dataclass(frozen=True, kw_only=True)
class Length:
    """A length of the step, and what makes it."""

    ms: float
    rows: int
    steps: int
    """In a stretch."""
    metrics: int
    """At a step."""


@dataclass
class Arm:
    """One job, waiting for its turn."""

    name: str
    folder: Path
    job: subprocess.Popen[bytes]
    line: Connection
    beside: list[psutil.Process]
    logged: int = 0
    turns: dict[float, list[dict[str, Any]]] = field(default_factory=dict)

    def ask(self, *what: Any) -> Any:
        self.line.send(what)
        if not self.line.poll(TURN_LIMIT_S):
            raise TimeoutError(f"{self.name}: no answer in {TURN_LIMIT_S:.0f} s\n{_said(self.folder)}")
        return self.line.recv()

    def settle(self) -> None:
        """Wait until the process beside the job has imported what it sends by, and stop it."""
        for process in self.beside:
            begun = idle_since = time.monotonic()
            used = 0.0
            while time.monotonic() < min(begun + SETTLE_LIMIT_S, idle_since + 1.0):
                now = sum(process.cpu_times()[:2])
                if now - used > 0.05 or now < 0.3:
                    used, idle_since = now, time.monotonic()
                time.sleep(0.1)
            process.suspend()

    def take_turn(self, length: Length) -> None:
        found = self.ask("turn", length.rows, length.steps, length.metrics, STRETCHES)
        self.turns.setdefault(length.ms, []).append(found)
        self.logged += STRETCHES.count("logging") * length.steps + len(found["calls"])

    def ended(self) -> None:
        """Wait for the job's end: it was well, and each line is in its record."""
        if self.job.wait(START_LIMIT_S) != 0:
            raise RuntimeError(f"{self.name}: the job failed\n{_said(self.folder)}")
        (metrics,) = self.folder.glob("outputs/*/*/.repro/metrics.jsonl")
        with metrics.open() as lines:
            there = sum(1 for _ in lines)
        if there != self.logged:
            raise RuntimeError(f"{self.name}: {self.logged} lines were logged, {there} are in the record")


def started(arm: str, folder: Path, threads: int, stack: ExitStack) -> Callable[[], Arm]:
    """Start an arm's job; what is returned waits for it."""
    folder.mkdir()
    shutil.copy(JOB, folder / "train.py")  # out of this repository, which would be captured as its code
    control = str(folder / "control")
    listener = stack.enter_context(Listener(control, "AF_UNIX"))
    overrides = stack.enter_context(tracked_by(arm))
    said = stack.enter_context((folder / "said").open("wb"))
    job = subprocess.Popen(
        [
            sys.executable,
            "train.py",
            "+repro=standard",
            *overrides,
            f"+control={control}",
            f"+threads={threads}",
        ],
        cwd=folder,
        env={**os.environ, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"},
        stdout=said,
        stderr=said,
        start_new_session=True,
    )
    stack.callback(_end, job, psutil.Process(job.pid))

    def join() -> Arm:
        listener._listener._socket.settimeout(START_LIMIT_S)  # type: ignore[attr-defined]
        try:
            line = listener.accept()
        except TimeoutError:
            raise TimeoutError(f"{arm}: did not begin\n{_said(folder)}") from None
        return Arm(arm, folder, job, line, [psutil.Process(pid) for pid in line.recv()])

    return join


def _end(job: subprocess.Popen[bytes], process: psutil.Process) -> None:
    """End a job before its time, and the process beside it, which may stand still."""
    if job.poll() is None:
        for each in (*process.children(recursive=True), process):
            each.kill()
        job.wait()


def _said(folder: Path) -> str:
    return (folder / "said").read_text()[-2000:]


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Let every arm have its turns."""
    begun = time.monotonic()
    with ExitStack() as stack:
        top = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        arms = [
            join() for join in [started(name, top / name, options.threads, stack) for name in options.arms]
        ]
        for arm in arms:
            arm.settle()
        lengths = []
        for ms in options.steps_ms:
            steps, metrics = (
                max(2, round(1000 * options.stretch_s / ms)),
                max(1, round(options.rate * ms / 1000)),
            )
            lengths.append(Length(ms=ms, rows=arms[0].ask("tune", ms), steps=steps, metrics=metrics))
        tell(f"{', '.join(options.arms)}: under way")
        chance = random.Random(0)
        rounds = 0
        while rounds < LEAST_ROUNDS or time.monotonic() - begun < options.seconds:
            for length in lengths:
                for arm in chance.sample(arms, len(arms)):
                    arm.take_turn(length)
            rounds += 1
            tell(f"round {rounds}, {time.monotonic() - begun:.0f} of {options.seconds:.0f} s")
        for arm in arms:
            arm.line.send(None)
        for arm in arms:
            arm.ended()
        return [told(arm, length) for length in lengths for arm in arms]


def told(arm: Arm, length: Length) -> dict[str, Any]:
    """One arm at one length of the step, as it is printed."""
    turns = arm.turns[length.ms]
    calls = sorted(1e6 * call for turn in turns for call in turn["calls"])
    logging_s = sum(wall for turn in turns for wall, _ in turn["stretches"][1:3])
    step_ms = statistics.median(1e3 * turn["stretches"][0][0] / length.steps for turn in turns)
    call_us = statistics.median(calls)
    return {
        "tracker": arm.name,
        "rounds": len(turns),
        "step_ms": round(step_ms, 2),
        "metrics_a_step": length.metrics,
        **{
            f"{clock}_percent_more": percent_more(
                [_sum(turn, (1, 2), place) / _sum(turn, (0, 3), place) for turn in turns]
            )
            for place, clock in enumerate(("wall", "cpu"))
        },
        "noise_percent": percent_more([_sum(turn, (3,), 0) / _sum(turn, (0,), 0) for turn in turns]),
        "call_us": [round(call_us, 1), round(calls[len(calls) * 9 // 10], 1)],
        "call_percent": round(call_us / (10 * step_ms), 3),
        "beside_cpu_percent": round(100 * sum(turn["beside_cpu_s"] for turn in turns) / logging_s, 1),
    }


def _sum(turn: dict[str, Any], stretches: tuple[int, ...], clock: int) -> float:
    return sum(float(turn["stretches"][each][clock]) for each in stretches)


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
    parser.add_argument(
        "--seconds", type=float, default=100.0, help="so long after the start rounds are begun (10 at least)"
    )
    parser.add_argument("--stretch-s", type=float, default=0.1, help="of the four in a turn")
    parser.add_argument("--steps-ms", type=float, nargs="+", default=[5.0, 50.0])
    parser.add_argument("--rate", type=float, default=2000.0, help="metrics a second")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(BY_DEFAULT))
    parser.add_argument("--threads", type=int, default=1, help="of torch, in the training")
    options = parser.parse_args()
    begun = time.monotonic()
    found = measure(options)
    facts = {"cores": os.cpu_count(), "took_s": round(time.monotonic() - begun)}
    print(json.dumps({**facts, "measured": found}, indent=2))


if __name__ == "__main__":
    main()
