"""How the ranks of one run, each started by torchrun or srun, find the directory that rank 0 claimed.

Every rank composes its own config, so each resolves ``${now:}`` for itself and would write elsewhere. Rank 0
therefore leaves a note where the output directories lie, and the others wait for it. On one machine the note counts
only if rank 0's launcher is their own; from another machine it counts if it is recent and its key, which the
launcher gave to all ranks, is theirs.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path

import msgspec
from blake3 import blake3

from repro_hydra.record.schema import SCHEMA
from repro_hydra.record.store import RecordError, read, write_json
from repro_hydra.record.times import parse_utc, utc_now
from repro_hydra.session import process

FOLDER = ".repro-ranks"
WAIT_S = 600.0
"""Rank 0 may be hashing data; where it fails, its launcher ends the other ranks, or it says so here."""
_RECENT = timedelta(minutes=5)
_KEPT_S = 24 * 3600.0
_SHARED = {
    "RANK": ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE"),
    "SLURM_PROCID": ("SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_RESTART_COUNT"),
}
"""What each launcher gives alike to all ranks of one run."""


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """What rank 0 tells the others."""

    schema: str = SCHEMA
    state: str
    """``starting``, ``running``, ``completed`` (before this launch) or ``refused``.

    It stays when the run is over: a rank may come late.
    """
    run_dir: str | None = None
    host: str
    launcher_pid: int
    launcher_started_at: float
    written_at: str


class CompletedBefore(Exception):
    """The run that rank 0 was to go on with has completed already: there is nothing to take part in."""


class NoRankZero(Exception):
    """Rank 0 did not say where the run is; the text says what was waited for."""


class Meeting(msgspec.Struct, frozen=True):
    """The place where the ranks of one run meet."""

    note: Path

    def announce(self, state: str, run_dir: Path | None = None) -> None:
        """Rank 0: tell the others.

        Raises
        ------
        OSError
            The folder cannot be written.
        """
        self.note.parent.mkdir(parents=True, exist_ok=True)
        self._sweep_up()
        pid, started_at = _launcher()
        told = Note(
            state=state,
            run_dir=None if run_dir is None else str(run_dir),
            host=process.host(),
            launcher_pid=pid,
            launcher_started_at=started_at,
            written_at=utc_now(),
        )
        write_json(self.note, told)

    def wait(self, *, limit_s: float = WAIT_S, pause: Callable[[float], None] = time.sleep) -> Path:
        """Another rank: the run directory, as soon as rank 0 has one.

        Raises
        ------
        NoRankZero
            Rank 0 refused the run, or said nothing for `limit_s` seconds.
        """
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            told = self._read()
            if told is not None and told.state == "refused":
                raise NoRankZero("rank 0 refused the run; its message says why")
            if told is not None and told.state == "completed":
                raise CompletedBefore(
                    f"{told.run_dir}: this run has completed already; its result is in its record"
                )
            if told is not None and told.run_dir is not None:
                return Path(told.run_dir)
            pause(0.02)
        raise NoRankZero(f"{self.note}: rank 0 did not say within {limit_s:.0f} s where the run is")

    def _sweep_up(self) -> None:
        """Take away the notes of runs that are long over."""
        for note in self.note.parent.glob("*.json"):
            with contextlib.suppress(OSError):  # another run's rank 0 was faster
                if time.time() - note.stat().st_mtime > _KEPT_S:
                    note.unlink()

    def _read(self) -> Note | None:
        if not self.note.exists():
            return None
        try:
            told = read(self.note, Note)
        except RecordError:
            return None  # not there any more
        if told.host == process.host():
            pid, started_at = _launcher()
            ours = told.launcher_pid == pid and abs(told.launcher_started_at - started_at) < 1.0
            return told if ours else None
        age = datetime.now(timezone.utc) - parse_utc(told.written_at)
        return told if age < _RECENT else None


def meeting(run_dir_as_written: str, cwd: Path, environ: Mapping[str, str]) -> Meeting | None:
    """Where this process's ranks meet; None for a process that has no other ranks.

    Parameters
    ----------
    run_dir_as_written : str
        ``hydra.run.dir`` with its interpolations: the note lies above the first of them.
    """
    if process.rank_and_world(environ)[1] == 1:
        return None
    shared = next(names for first, names in _SHARED.items() if environ.get(first, "").isdigit())
    key = blake3("\0".join(environ.get(name, "") for name in shared).encode()).hexdigest(length=8)
    fixed, dollar, _ = run_dir_as_written.partition("${")
    above = Path(os.path.dirname(fixed) if dollar else os.path.dirname(fixed.rstrip("/")))  # noqa: PTH120 (a text)
    return Meeting(cwd / above / FOLDER / f"{key}.json")


def _launcher() -> tuple[int, float]:
    pid = os.getppid()
    return pid, process.started_at(pid)
