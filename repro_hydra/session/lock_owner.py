"""What a writer's lock holds: who owns the directory."""

from __future__ import annotations

import errno
from pathlib import Path

import msgspec


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lock."""

    token: str
    host: str
    pid: int
    pid_started_at: float
    slurm_job: str | None = None
    slurm_attempt: int = 0
    """How often Slurm had queued that job again."""

    def __str__(self) -> str:
        job = f", Slurm job {self.slurm_job}" if self.slurm_job else ""
        return f"process {self.pid} on {self.host}{job}"


def read_owner(path: Path) -> Owner:
    """The owner that a lock, a claim or a sign of life names.

    Raises
    ------
    FileNotFoundError
        Nothing is there.
    msgspec.MsgspecError
        It tells no owner.
    OSError
        It cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        content = path.read_bytes()  # NFS: it was replaced between being opened and being read
    return msgspec.json.decode(content, type=Owner)


def owner_in(path: Path) -> Owner | None:
    """The same; None where nothing is there, or it tells no owner."""
    try:
        return read_owner(path)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
