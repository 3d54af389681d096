"""Signs of life while a job runs, so that a reader elsewhere can tell a running run from a lost one."""

from __future__ import annotations

import threading
from collections.abc import Callable

from repro_hydra.record.status import HEARTBEAT_INTERVAL_S


class Heartbeat:
    """Calls `beat` every `interval_s` seconds from a daemon thread, until stopped."""

    def __init__(self, beat: Callable[[], None], interval_s: float = HEARTBEAT_INTERVAL_S) -> None:
        self._beat = beat
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="repro-heartbeat", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No beat comes after this returns."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval_s):
            try:
                self._beat()
            except OSError:
                # A full disk or a lost mount: the run itself goes on; its silence is what a reader sees.
                continue
