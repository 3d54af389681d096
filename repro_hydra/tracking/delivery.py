"""Brings one tracker up to date with one run's record: once, or again and again while the run goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from filelock import FileLock, Timeout

from repro_hydra.record.paths import RunPaths
from repro_hydra.record.redact import redact, redact_text
from repro_hydra.record.store import RecordError, read, write_json
from repro_hydra.record.tracking import TrackerState
from repro_hydra.tracking.find import find_tracker
from repro_hydra.tracking.points import Repeated, attempts_before, followed, read_points
from repro_hydra.tracking.protocol import Tracker
from repro_hydra.tracking.view import RunView


class Superseded(Exception):
    """Another attempt at the run has begun, or another run in its directory: that has a process of its own."""


class Busy(Exception):
    """Another process sends this run to this tracker; its text is the message for the user."""


@contextlib.contextmanager
def sole_sender(paths: RunPaths, name: str, *, wait_s: float = 0.0) -> Iterator[None]:
    """Be the only process that sends this run to tracker `name`.

    Parameters
    ----------
    wait_s : float
        How long to wait for another one; below 0 for as long as it takes.

    Raises
    ------
    Busy
        There is another one.
    """
    paths.tracking.mkdir(exist_ok=True)
    lock = FileLock(paths.tracking / f"{name}.lock", timeout=wait_s)
    try:
        lock.acquire(poll_interval=0.2)
    except Timeout:
        raise Busy(
            f"{paths.run_dir}: another process is sending it to {name} just now (the one beside the job, or "
            "repro-hydra track sync). Wait for its end"
        ) from None
    try:
        yield
    finally:
        lock.release()


def read_state(paths: RunPaths, name: str) -> TrackerState | None:
    """How far tracker `name` got with this run; None where it never began."""
    try:
        return read(paths.tracking / f"{name}.json", TrackerState)
    except RecordError:
        return None


def is_complete(paths: RunPaths, state: TrackerState | None) -> bool:
    """Whether all was sent of the run as it is now: one that has gone on since then has more to send."""
    if state is None or not state.complete or state.attempt != attempts_before(paths):
        return False
    try:
        return state.closed_as in (None, RunView(paths.run_dir).as_closed)
    except RecordError:
        return False


class Delivery:
    """One tracker and one run.

    Every method may raise what the tracker's library raises; what was acknowledged until then is not lost, and a
    new call goes on from there.

    Parameters
    ----------
    run_dir : Path
        The run's directory.
    name : str
        The tracker's.
    options : mapping, optional
        As configured; those recorded when it began, where left out.
    make : callable
        Makes the tracker from its name and options.
    """

    def __init__(
        self,
        run_dir: Path,
        name: str,
        options: Mapping[str, Any] | None = None,
        make: Callable[[str, Mapping[str, Any]], Tracker] = find_tracker,
    ) -> None:
        self.name = name
        self.paths = RunPaths(run_dir)
        self._make = make
        self._run_id = _run_id(self.paths)
        known = read_state(self.paths, name)
        self._options = dict(options if options is not None else known.options if known else {})
        kept = redact(msgspec.to_builtins(self._options))
        assert isinstance(kept, dict)
        state = msgspec.structs.replace(known or TrackerState(tracker=name), options=kept)
        self.state = followed(state, self.paths)
        self._tracker: Tracker | None = None
        self._repeated = Repeated((), self.paths)

    def note(self) -> None:
        """Keep what is known until now; with the options `track sync` goes on though nothing was ever sent."""
        self._keep()

    def open(self) -> None:
        """Make or find the run at the tracker; nothing where that was done."""
        if self._tracker is not None:
            return
        tracker = self._make(self.name, self._options)
        self._tracker = tracker
        try:
            opened = tracker.open(RunView(self.paths.run_dir), self.state.remote_id)
        except BaseException:
            self._abandon()
            raise
        self._keep(
            remote_id=opened.remote_id,
            remote_url=opened.url,
            metrics_bytes=self.state.metrics_bytes if opened.goes_on else 0,
            sent_before=self.state.sent_before if opened.goes_on else [],
        )
        self._repeated = Repeated(self.state.sent_before, self.paths)

    def send_metrics(self) -> bool:
        """Send the next lines of ``metrics.jsonl``; False where there is none that is whole.

        Raises
        ------
        Superseded
            They are another attempt's.
        """
        self._stop_where_superseded()
        self.open()
        assert self._tracker is not None
        points, end = read_points(self.paths.metrics, self.state.metrics_bytes)
        self._stop_where_superseded()  # the file that was read may have been the next one's already
        if end == self.state.metrics_bytes:
            return False
        points = self._repeated.without(points)
        if points:
            self._tracker.send(points)
        self._keep(metrics_bytes=end, last_error=None)
        return True

    def finish(self) -> None:
        """Send the rest, and what is known at the end."""
        while self.send_metrics():
            pass
        assert self._tracker is not None
        view = RunView(self.paths.run_dir)
        closed_as = view.as_closed
        self._tracker.close(view)
        self._keep(complete=True, closed_as=closed_as, last_error=None)

    def failed(self, error: BaseException) -> None:
        """Note an error, and start from `open` the next time."""
        self._abandon()
        self._keep(last_error=redact_text(f"{type(error).__name__}: {error}")[:2000])

    def _stop_where_superseded(self) -> None:
        if self._is_superseded():
            raise Superseded(f"{self.paths.run_dir}: another attempt has begun, or another run")

    def _is_superseded(self) -> bool:
        return attempts_before(self.paths) != self.state.attempt or _run_id(self.paths) != self._run_id

    def _abandon(self) -> None:
        tracker, self._tracker = self._tracker, None
        abandon = getattr(tracker, "abandon", None)
        if abandon is not None:
            with contextlib.suppress(Exception):  # it has failed already, and is let go of
                abandon()

    def _keep(self, **changes: Any) -> None:
        self.state = msgspec.structs.replace(self.state, **changes)
        if not self._is_superseded():  # else the file is another's
            self.paths.tracking.mkdir(exist_ok=True)
            write_json(self.paths.tracking / f"{self.name}.json", self.state)


def deliver(
    run_dir: Path,
    name: str,
    options: Mapping[str, Any] | None = None,
    make: Callable[[str, Mapping[str, Any]], Tracker] = find_tracker,
) -> TrackerState:
    """Send all that tracker `name` lacks of a run that has ended; nothing where it lacks nothing.

    Raises
    ------
    Busy
        Another process is sending it.
    Exception
        Whatever the tracker's library raises; what was sent before stays sent, and is not sent again.
    """
    paths = RunPaths(run_dir)
    with sole_sender(paths, name):
        delivery = Delivery(run_dir, name, options, make)
        if is_complete(paths, delivery.state):
            return delivery.state
        try:
            delivery.finish()
        except Superseded:
            raise
        except BaseException as error:
            delivery.failed(error)
            raise
        return delivery.state


def _run_id(paths: RunPaths) -> str | None:
    """None for a record that cannot be read, or has gone."""
    try:
        return RunView(paths.run_dir).run.run_id
    except RecordError:
        return None
