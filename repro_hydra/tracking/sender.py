"""The process beside a job that sends its record to the trackers: ``python -m repro_hydra.tracking.sender``.

Standard input tells it what to send (one line of JSON), and by its end that the job has ended, in whichever way.
From then on it has `wait_s` seconds; what is not sent by then is left to ``repro-hydra track sync``.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.record.paths import RunPaths
from repro_hydra.tracking.delivery import Delivery, Superseded, sole_sender
from repro_hydra.tracking.find import TrackerMissing

POLL_S = 1.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
DEFAULT_WAIT_S = 10.0
LONGEST_WAIT_S = 86400.0


def waited_s(name: str, options: Mapping[str, Any]) -> float:
    """How long the end of a run waits for tracker `name`.

    Raises
    ------
    ValueError
        Its option ``wait_s`` is no number of seconds.
    """
    given = options.get("wait_s")
    try:
        seconds = DEFAULT_WAIT_S if given is None else float(given)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 <= seconds <= LONGEST_WAIT_S:
        raise ValueError(
            f"hydra.callbacks.repro.tracking.{name}.wait_s: expected seconds, from 0 to {LONGEST_WAIT_S:.0f}, "
            f"found {given!r}"
        )
    return seconds


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the job's process asks for."""

    run_dir: str
    trackers: dict[str, dict[str, Any]]


class _Worker:
    """Keeps one tracker up to date, in a thread of its own: a slow one holds up no other."""

    def __init__(self, run_dir: Path, name: str, options: dict[str, Any], ended: threading.Event) -> None:
        self._run_dir, self._name, self._options = run_dir, name, options
        self._ended = ended
        self._wait_s = waited_s(name, options)
        self.thread = threading.Thread(target=self._work, name=f"tracker-{name}", daemon=True)

    def _work(self) -> None:
        # The process beside an attempt that was killed goes on for some seconds: two would send everything twice.
        with sole_sender(RunPaths(self._run_dir), self._name, wait_s=-1):
            delivery = Delivery(self._run_dir, self._name, self._options)
            delivery.note()
            self._send(delivery)

    def _send(self, delivery: Delivery) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            ended = self._ended.is_set()
            try:
                if ended:
                    delivery.finish()
                    return
                while delivery.send_metrics() and not self._ended.is_set():
                    pass
                pause_s = FIRST_PAUSE_S
                self._ended.wait(POLL_S)
            except Superseded:
                return
            except TrackerMissing as error:
                delivery.failed(error)
                return
            except Exception as error:  # noqa: BLE001 (a tracker's library may raise anything; it is tried again)
                delivery.failed(error)
                if ended:
                    time.sleep(pause_s)
                else:
                    self._ended.wait(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def join(self, ended_at: float) -> None:
        self.thread.join(max(0.0, ended_at + self._wait_s - time.monotonic()))


def main() -> int:
    """Send until the job has ended and everything is sent, or the time for it is over."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the job; then this process knows by its input
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    order = msgspec.json.decode(sys.stdin.buffer.readline(), type=Order)
    ended = threading.Event()
    workers = [_Worker(Path(order.run_dir), name, options, ended) for name, options in order.trackers.items()]
    for worker in workers:
        worker.thread.start()
    while sys.stdin.buffer.read(4096):
        pass
    ended_at = time.monotonic()
    ended.set()
    for worker in workers:
        worker.join(ended_at)
    return 0


if __name__ == "__main__":
    sys.exit(main())
