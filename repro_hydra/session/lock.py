"""One writer for a directory: a lock that a crashed owner does not hold for ever, and that fences a lost one off.

Made of hard links and whole-file replacements only, which NFS has too (``flock`` is often local to a machine there).
The rules and their limits are in docs/design/one-writer.md.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from repro_hydra.record.paths import LOCK
from repro_hydra.record.status import process_is_alive
from repro_hydra.record.store import write_bytes
from repro_hydra.session import process
from repro_hydra.session.lock_owner import Owner, owner_in, read_owner
from repro_hydra.session.say import say
from repro_hydra.standard_streams import flush_standard_streams

BEAT_S = 2.0
"""How often an owner shows that it lives, and looks whether it still is the owner."""
LEASE_S = 10.0
"""How long a replaced owner is waited for, until it must have noticed."""
SILENCE_S = 60.0
"""How long an owner on another machine must show no life before its lock is taken over."""
FENCED_STATUS = 75
NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EMLINK)
"""What `os.link` answers on a file system without hard links."""


class Held(Exception):
    """Another process owns the directory; its text is the message for the user."""


class WriterLock:
    """The right to write in `directory`.

    Parameters
    ----------
    environ : mapping
        Tells whether this process is an attempt of a Slurm job: a later attempt replaces an earlier one.
    name : str
        The lock's file: `LOCK` for a run, `SWEEP_LOCK` for a sweep.
    instead : str
        What whoever comes second is told to do.
    leave : callable, optional
        What a replaced owner does instead of ending its process at once.
    silence_s, lease_s, beat_s : float
        `SILENCE_S`, `LEASE_S` and `BEAT_S`, others in tests.
    """

    def __init__(
        self,
        directory: Path,
        environ: Mapping[str, str],
        *,
        name: str = LOCK,
        instead: str = "Choose another directory",
        leave: Callable[[], None] | None = None,
        silence_s: float = SILENCE_S,
        lease_s: float = LEASE_S,
        beat_s: float = BEAT_S,
    ) -> None:
        self._path = directory / name
        self._instead = instead
        self.owner = Owner(
            token=uuid.uuid4().hex,
            host=process.host(),
            pid=os.getpid(),
            pid_started_at=process.started_at(),
            slurm_job=environ.get("SLURM_JOB_ID"),
            slurm_attempt=int(environ.get("SLURM_RESTART_COUNT", "0") or 0),
        )
        self._leave = leave or _end_at_once
        self._silence_s, self._lease_s, self._beat_s = silence_s, lease_s, beat_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.replaced: Owner | None = None
        """Whom this lock was taken over from."""

    @property
    def directory(self) -> Path:
        return self._path.parent

    # ------------------------------------------------------------------ taking it

    def acquire(self) -> None:
        """Become the owner.

        Raises
        ------
        Held
            Another process is, and lives.
        OSError
            The directory cannot be written to.
        """
        write_bytes(self._presence(self.owner.token), msgspec.json.encode(self.owner), durable=True)
        try:
            while not self._try():
                current = self._owner_to_wait_for()
                if current is not None:
                    self._may_replace(current)
                    self._replace(current)
        except BaseException:
            self._presence(self.owner.token).unlink(missing_ok=True)
            raise
        with contextlib.suppress(OSError):
            self._sweep_up()
        self._thread = threading.Thread(target=self._beat, name="repro-writer-lock", daemon=True)
        self._thread.start()

    def _try(self) -> bool:
        """Whether the lock is now this process's. A link is made by one only, or not at all."""
        with contextlib.suppress(FileExistsError):
            os.link(self._presence(self.owner.token), self._path)
        # An NFS server may have made it, and its answer been lost: the file itself tells.
        current = self.current()
        return current is not None and current.token == self.owner.token

    def _owner_to_wait_for(self) -> Owner | None:
        """As `current`, but a file that tells no owner would be waited for without end: what a crash may leave."""
        try:
            return read_owner(self._path)
        except FileNotFoundError:
            return None
        except msgspec.MsgspecError as error:
            raise Held(
                f"{self._path}: expected the lock of a run or a sweep, found a file that cannot be read ({error}). "
                f"Where no process writes into {self.directory}, delete it: rm {self._path}"
            ) from None

    def _may_replace(self, current: Owner) -> None:
        """Return where `current` is gone, or this process is a later attempt of the same job."""
        if self._is_later_attempt_of(current):
            return
        if current.host == self.owner.host:
            if not process_is_alive(current.pid, current.pid_started_at):
                return
            raise self._held_by(current)
        say(f"{self.directory}: owned by {current}; waiting {self._silence_s:.0f} s for a sign of life")
        before, deadline = self._sign_of_life(), time.monotonic() + self._silence_s
        while time.monotonic() < deadline:
            time.sleep(min(self._beat_s, self._silence_s) / 4)
            if self._sign_of_life() != before:
                raise self._held_by(current)

    def _held_by(self, current: Owner) -> Held:
        return Held(f"{self.directory}: {current} is writing there. {self._instead}")

    def _is_later_attempt_of(self, current: Owner) -> bool:
        return (
            current.slurm_job is not None
            and current.slurm_job == self.owner.slurm_job
            and current.slurm_attempt < self.owner.slurm_attempt
        )

    def _replace(self, current: Owner) -> None:
        """Put this owner in the place of `current`; of several who try, one succeeds."""
        claim = self._claim_on(current)
        try:
            os.link(self._presence(self.owner.token), claim)
        except FileExistsError:
            self._forget_dead(claim)
            time.sleep(self._beat_s / 10)
            return
        try:
            now = self.current()
            if now is None or now.token != current.token:
                return
            with contextlib.suppress(
                FileNotFoundError
            ):  # an NFS server may have done it, and its answer been lost
                write_bytes(self._path, msgspec.json.encode(self.owner), durable=True)
            now = self.current()
            if now is None or now.token != self.owner.token:
                return
            self.replaced = current
            self._wait_until_noticed(current)
        finally:
            claim.unlink(missing_ok=True)

    def _forget_dead(self, claim: Path) -> None:
        """Take away the claim of one who died before it had replaced the owner."""
        owner = owner_in(claim)
        if owner is not None and self._is_dead(owner):
            claim.unlink(missing_ok=True)
            return
        with contextlib.suppress(FileNotFoundError):
            if time.time() - claim.stat().st_mtime > self._silence_s + self._lease_s:
                claim.unlink(missing_ok=True)

    def _wait_until_noticed(self, replaced: Owner) -> None:
        """Let a replaced owner that still runs notice it, and end, before anything is written here."""
        presence, deadline = self._presence(replaced.token), time.monotonic() + self._lease_s
        while presence.exists() and time.monotonic() < deadline:
            if self._is_dead(replaced):
                break
            time.sleep(self._beat_s / 20)
        presence.unlink(missing_ok=True)

    def _sweep_up(self) -> None:
        """Take away what others left that were killed while they took the lock, or waited for it.

        Whoever still holds a claim on an earlier owner sees that this process is the owner now, and gives up.
        """
        ours = self._presence(self.owner.token)
        for file in self.directory.glob(f"{self._path.name}.*"):
            if file == ours or file == self._claim_on(self.owner):
                continue
            left_by = owner_in(file)
            if left_by is not None and (self._is_later_attempt_of(left_by) or self._is_dead(left_by)):
                file.unlink(missing_ok=True)

    def _is_dead(self, owner: Owner) -> bool:
        """Whether its process is seen to be gone; one on another machine is not seen."""
        return owner.host == self.owner.host and not process_is_alive(owner.pid, owner.pid_started_at)

    # ------------------------------------------------------------------ holding it

    def check(self) -> None:
        """To be called before each write: where another has become the owner, this process ends."""
        if self._thread is None or os.getpid() != self.owner.pid:
            return
        current = self.current()
        if current is not None and current.token != self.owner.token:
            self._fenced(current)

    def release(self) -> None:
        """Give it back; nothing is touched that has another owner by now."""
        if self._thread is None or os.getpid() != self.owner.pid:
            return
        self._stop.set()
        self._thread.join()
        self._thread = None
        presence, claim = self._presence(self.owner.token), self._claim_on(self.owner)
        # By the same claim as another's who would replace it: else that one's lock might be taken away in its place.
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(presence, claim)
            current = self.current()
            if current is not None and current.token == self.owner.token:
                self._path.unlink(missing_ok=True)
            claim.unlink(missing_ok=True)
        presence.unlink(missing_ok=True)

    def current(self) -> Owner | None:
        """Who owns the directory now; None where nobody does, or the file does not tell."""
        return owner_in(self._path)

    def _beat(self) -> None:
        while not self._stop.wait(self._beat_s):
            try:
                self.check()
                os.utime(self._presence(self.owner.token))
            except OSError:
                continue  # a lost mount: it may come back, and nothing can be written until it does

    def _fenced(self, by: Owner) -> None:
        text = f"{self.directory}: {by} writes there now, so this process ({self.owner}) ends without another word"
        say(text)
        self._presence(self.owner.token).unlink(missing_ok=True)
        self._stop.set()
        self._leave()

    def _sign_of_life(self) -> tuple[str | None, float]:
        current = self.current()
        if current is None:
            return None, 0.0
        try:
            # Opened: an NFS client asks the server then, and may tell a time of a minute ago otherwise.
            with self._presence(current.token).open("rb") as file:
                return current.token, os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return current.token, 0.0

    def _claim_on(self, owner: Owner) -> Path:
        """A link that who takes the lock from `owner` makes first; exactly one can."""
        return self._path.with_name(f"{self._path.name}.after.{owner.token}")

    def _presence(self, token: str) -> Path:
        """A file that an owner has as long as it runs."""
        return self._path.with_name(f"{self._path.name}.{token}")


def _end_at_once() -> None:
    """No cleanup of the task's may run: it would write among the new owner's files."""
    with contextlib.suppress(OSError):
        flush_standard_streams()
    os._exit(FENCED_STATUS)
