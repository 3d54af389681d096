"""One writer for a run directory: who is second stops, who was replaced stops, and the dead hold nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from repro_hydra.record.paths import LOCK, SWEEP_LOCK
from repro_hydra.record.store import write_bytes
from repro_hydra.session.lock import FENCED_STATUS, Held, WriterLock
from repro_hydra.session.lock_owner import Owner, owner_in
from repro_hydra.session.metrics import MetricsLog
from repro_hydra.session.process import started_at

HOLDING = """
import os, sys, time
from pathlib import Path
from repro_hydra.session.process import started_at
from repro_hydra.session.lock import WriterLock
lock = WriterLock(Path(sys.argv[1]), os.environ, beat_s=0.1)
lock.acquire()
told = False
while True:
    time.sleep(0.005)
    lock.check()
    with open(Path(sys.argv[1], "written"), "a") as stream:
        stream.write(f"{os.getpid()}\\n")
    if not told:
        print("mine", flush=True)
        told = True
"""


def holder(directory: Path, **variables: str) -> subprocess.Popen[str]:
    """Another process that owns `directory` and writes there."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(directory)],
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "mine\n"
    return process


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = holder(tmp_path, SLURM_JOB_ID="7")
    yield process
    process.kill()
    process.communicate()


def lock(directory: Path, **variables: str) -> WriterLock:
    return WriterLock(directory, variables, silence_s=10, lease_s=5, beat_s=0.1)


def test_the_second_notices_and_stops(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    """A second process is told who owns the directory, and leaves nothing behind."""
    before = {path.name for path in tmp_path.glob(f"{LOCK}*")}
    with pytest.raises(Held, match=f"process {other.pid} on"):
        lock(tmp_path).acquire()
    assert {path.name for path in tmp_path.glob(f"{LOCK}*")} == before


def test_a_sweep_and_its_only_job_may_share_a_directory(tmp_path: Path) -> None:
    """Each has a lock of its own there, and leaves what is the other's."""
    of_sweep = WriterLock(tmp_path, {}, name=SWEEP_LOCK, beat_s=0.1)
    of_sweep.acquire()
    of_job = lock(tmp_path)
    of_job.acquire()
    with pytest.raises(Held, match=r"is writing there\. Wait$"):
        WriterLock(tmp_path, {}, name=SWEEP_LOCK, instead="Wait").acquire()
    of_job.release()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {SWEEP_LOCK, f"{SWEEP_LOCK}.{of_sweep.owner.token}"}
    of_sweep.release()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_owner_holds_nothing(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    """The lock of a process that was killed is taken over at once, and given back whole."""
    other.kill()
    other.wait()
    mine = lock(tmp_path)
    mine.acquire()
    assert mine.replaced is not None
    assert mine.replaced.pid == other.pid
    mine.check()
    mine.release()
    assert list(tmp_path.glob(f"{LOCK}*")) == []


def test_a_later_attempt_fences_the_orphan(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    """A requeued job replaces its orphan, which ends by itself and never writes after the new owner has begun."""
    mine = lock(tmp_path, SLURM_JOB_ID="7", SLURM_RESTART_COUNT="1")
    mine.acquire()
    with (tmp_path / "written").open("a") as stream:
        stream.write("new owner\n")
    assert other.wait(timeout=120) == FENCED_STATUS
    lines = (tmp_path / "written").read_text().split("\n")
    assert lines.index("new owner") == len(lines) - 2  # nothing after it but the end of the file
    assert lines[0] == str(other.pid)
    mine.release()


def test_an_earlier_attempt_does_not_take_it_back(tmp_path: Path) -> None:
    """The orphan that starts late finds the later attempt there, and stops."""
    later = holder(tmp_path, SLURM_JOB_ID="7", SLURM_RESTART_COUNT="1")
    try:
        with pytest.raises(Held):
            lock(tmp_path, SLURM_JOB_ID="7").acquire()
    finally:
        later.kill()
        later.communicate()


def test_an_owner_elsewhere_is_believed_while_it_beats(tmp_path: Path) -> None:
    """Of another machine only the signs of life can be seen: with them it holds, without them it is replaced."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    file = tmp_path / LOCK
    owner = msgspec.structs.replace(msgspec.json.decode(file.read_bytes(), type=Owner), host="elsewhere")
    write_bytes(
        file, msgspec.json.encode(owner)
    )  # whole, as the lock itself does it: its owner reads it meanwhile
    with pytest.raises(Held, match="on elsewhere is writing"):
        lock(tmp_path).acquire()
    process.send_signal(signal.SIGSTOP)
    mine = WriterLock(tmp_path, {}, silence_s=0.5, lease_s=0.2, beat_s=0.1)
    mine.acquire()
    assert mine.replaced == owner
    process.send_signal(signal.SIGCONT)  # it wakes, looks before it writes, and ends
    assert process.wait(timeout=120) == FENCED_STATUS
    mine.release()


def test_of_many_who_want_a_dead_ones_lock_one_gets_it(tmp_path: Path) -> None:
    """Eight processes start at once where the owner has died: one becomes the owner, seven are told."""
    dead = holder(tmp_path)
    dead.kill()
    dead.communicate()
    script = HOLDING.replace(
        'print("mine", flush=True)', 'print("mine", flush=True); time.sleep(1); os._exit(0)'
    )
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(8)
    ]
    ended = [process.communicate(timeout=60) for process in begun]
    assert sorted(out for out, _ in ended).count("mine\n") == 1
    assert sum("Held" in err for _, err in ended) == 7


def test_a_claim_whose_maker_died_is_forgotten(tmp_path: Path) -> None:
    """Dying between the claim and the replacement leaves nobody locked out."""
    dead = holder(tmp_path)
    dead.kill()
    dead.communicate()
    owner = msgspec.json.decode((tmp_path / LOCK).read_bytes(), type=Owner)
    (tmp_path / f"{LOCK}.after.{owner.token}").write_bytes(msgspec.json.encode(owner))
    mine = lock(tmp_path)
    mine.acquire()
    mine.release()
    assert list(tmp_path.glob(f"{LOCK}*")) == []


def test_who_is_being_replaced_takes_no_other_ones_lock_away(tmp_path: Path) -> None:
    """Giving it back is a claim on it too: between its last look and the deletion another could have come."""
    mine = lock(tmp_path)
    mine.acquire()
    claim = tmp_path / f"{LOCK}.after.{mine.owner.token}"
    claim.write_bytes(msgspec.json.encode(msgspec.structs.replace(mine.owner, token="another")))
    mine.release()
    assert (tmp_path / LOCK).exists()
    assert claim.exists()


def test_a_replacement_whose_answer_was_lost_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An NFS server may have renamed, and say on the client's second try that there is nothing to rename."""
    dead = holder(tmp_path)
    dead.kill()
    dead.communicate()
    replace = os.replace

    def lossy(source: str, target: Path) -> None:
        replace(source, target)
        if target == tmp_path / LOCK:
            raise FileNotFoundError(errno.ENOENT, "no such file", str(source))

    monkeypatch.setattr(os, "replace", lossy)
    mine = lock(tmp_path)
    mine.acquire()
    assert mine.current() == mine.owner
    mine.release()
    assert list(tmp_path.glob(f"{LOCK}*")) == []


def test_a_lock_that_was_replaced_while_it_was_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ESTALE of NFS, once; twice is a file system that is away."""
    mine = lock(tmp_path)
    mine.acquire()
    errors = [OSError(errno.ESTALE, "stale file handle")]
    read_bytes = Path.read_bytes

    def stale(self: Path) -> bytes:
        if errors:
            raise errors.pop()
        return read_bytes(self)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", stale)
        assert owner_in(tmp_path / LOCK) == mine.owner
        errors += [OSError(errno.ESTALE, "stale file handle")] * 2
        with pytest.raises(OSError, match="stale"):
            owner_in(tmp_path / LOCK)
    mine.release()


def test_what_killed_ones_left_is_swept_up(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    """An attempt killed while it replaced another leaves its claim and its sign of life; the next one clears both."""
    owner = msgspec.json.decode((tmp_path / LOCK).read_bytes(), type=Owner)
    living = msgspec.structs.replace(
        owner, token="living", slurm_job=None, pid=os.getpid(), pid_started_at=started_at()
    )
    other.kill()
    other.wait()
    killed = msgspec.structs.replace(owner, token="killed")  # its process is the dead one's
    elsewhere = msgspec.structs.replace(owner, token="elsewhere", host="another", slurm_job=None)
    for left_by in (killed, living, elsewhere):
        write_bytes(tmp_path / f"{LOCK}.{left_by.token}", msgspec.json.encode(left_by))
    write_bytes(tmp_path / f"{LOCK}.after.long-gone", msgspec.json.encode(killed))
    mine = lock(tmp_path)
    mine.acquire()
    left = {path.name for path in tmp_path.glob(f"{LOCK}*")}
    expected = {LOCK, *(f"{LOCK}.{token}" for token in (mine.owner.token, "living", "elsewhere"))}
    mine.release()
    assert left == expected


@pytest.mark.parametrize(
    ("fresh_s", "set_back_s", "noticed"), [(3600.0, 0.0, False), (0.0, 0.0, True), (3600.0, 60.0, True)]
)
def test_a_look_of_just_now_holds_for_the_next_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_s: float, set_back_s: float, noticed: bool
) -> None:
    """Metrics come by the hundred: a look holds for a while, and not where the clock was set back meanwhile."""
    left: list[str] = []
    mine = WriterLock(tmp_path, {}, leave=lambda: left.append("left"), beat_s=3600)
    mine.acquire()
    log = MetricsLog(tmp_path / "metrics.jsonl", mine.check, fresh_s=fresh_s)
    log.log({"loss": 1.0})
    other = msgspec.structs.replace(mine.owner, token="another")
    (tmp_path / LOCK).write_bytes(msgspec.json.encode(other))
    monkeypatch.setattr("repro_hydra.session.metrics._clock", lambda: time.time() - set_back_s)
    log.log({"loss": 1.0})
    assert bool(left) is noticed
    mine.release()


def test_only_the_owners_process_gives_it_back(tmp_path: Path) -> None:
    """A forked child that unwinds through the owner's code leaves the lock alone."""
    mine = lock(tmp_path)
    mine.acquire()
    child = os.fork()
    if child == 0:
        mine.release()
        os._exit(0)
    os.waitpid(child, 0)
    time.sleep(0.3)
    assert mine.current() == mine.owner
    mine.release()


@pytest.mark.parametrize("left", [b"", b"{", b"[]", b'{"token": 1}'])
def test_a_lock_that_tells_nobody_is_named_and_mended(tmp_path: Path, left: bytes) -> None:
    """A crash of the machine may leave an empty file."""
    (tmp_path / LOCK).write_bytes(left)
    with pytest.raises(Held, match=f"expected the lock of a run or a sweep.* rm {tmp_path / LOCK}"):
        lock(tmp_path).acquire()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK]
    (tmp_path / LOCK).unlink()
    mine = lock(tmp_path)
    mine.acquire()
    (tmp_path / LOCK).write_bytes(
        left
    )  # and an owner whose lock was overwritten goes on: nobody else is the owner
    mine.check()
    mine.release()
