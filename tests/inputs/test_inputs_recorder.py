"""The recorder by itself: what it counts as read, how children tell, and that it never stands in the way."""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from repro_hydra.inputs import recorder as module
from repro_hydra.inputs import wire
from repro_hydra.inputs.hook import activate, active, deactivate
from repro_hydra.inputs.mapped import files_in_use
from repro_hydra.inputs.recorder import Recorder
from repro_hydra.inputs.seen import watched
from repro_hydra.inputs.stamps import CLOCK_TICK_NS, stamp_of


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    made = Recorder(from_start=False)
    activate(made)
    yield made
    deactivate()


def seen(recorder: Recorder, folder: Path) -> set[str]:
    return {
        Path(p).name for p, stamp in recorder.reads.items() if stamp is not None and p.startswith(str(folder))
    }


def test_reading_is_told_from_writing(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it is opened by, and whatever kind of path it is; what is written first is not an input."""
    for name in ("text", "bytes", "os", "relative", "update", "append", "both", "create", "more"):
        (tmp_path / name).write_text("before")
    (tmp_path / "lock").touch()
    recorder.reads.clear()
    recorder.written.clear()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").read_text()
    open(os.fsencode(tmp_path / "bytes")).close()  # noqa: PTH123
    os.close(os.open(tmp_path / "os", os.O_RDONLY))
    open("relative").close()  # noqa: PTH123
    open("update", "r+").close()  # noqa: PTH123
    open("append", "a").close()  # noqa: PTH123
    os.close(os.open("create", os.O_RDWR | os.O_CREAT))
    os.close(os.open("lock", os.O_RDWR | os.O_CREAT))
    open("more", "a+").close()  # noqa: PTH123
    with open("both", "w") as stream:  # noqa: PTH123
        stream.write("new")
    (tmp_path / "both").read_text()
    with pytest.raises(FileNotFoundError):
        open("nothing")  # noqa: PTH123, SIM115
    os.close(os.open(tmp_path, os.O_RDONLY))
    assert seen(recorder, tmp_path) == {"text", "bytes", "os", "relative", "update", "create"}
    assert recorder.appended == {str(tmp_path / "more")}
    assert recorder.failure is None


def old(path: Path, recorder: Recorder) -> Path:
    """A file that was there before: of its change time nobody can say that it lies in the past but by waiting."""
    path.write_text("old")
    recorder.started_ns = path.stat().st_ctime_ns + 10 * CLOCK_TICK_NS
    recorder.written.discard(str(path))
    return path


@pytest.mark.parametrize("way", ["rename", "link", "chmod", "utime", "twice"])
def test_what_was_touched_or_moved_is_as_old_as_it_was(recorder: Recorder, tmp_path: Path, way: str) -> None:
    """Each of these gives a file the time of now, which is also how a file of the job's own is known."""
    path, target = old(tmp_path / "old", recorder), tmp_path / "new"
    before = path.stat().st_ctime_ns
    if way in ("rename", "twice"):
        path.rename(target)
    if way == "twice":
        target.rename(tmp_path / "newer")
        (tmp_path / "newer").chmod(0o600)
        target = tmp_path / "newer"
    elif way == "link":
        os.link(path, target)
    elif way == "chmod":
        path.chmod(0o600)
    elif way == "utime":
        os.utime(path)
    read = target if way in ("rename", "link", "twice") else path
    read.read_text()
    stamp = recorder.reads[str(read)]
    assert stamp is not None
    assert (stamp.ctime_ns, stamp.mtime_ns) == (before, read.stat().st_mtime_ns)
    # What the job wrote itself stays its own under any name.
    (tmp_path / "mine").write_text("new")
    (tmp_path / "mine").rename(tmp_path / "mine too")
    (tmp_path / "mine too").chmod(0o600)
    (tmp_path / "mine too").read_text()
    assert recorder.reads[str(tmp_path / "mine too")] is None


def test_another_content_at_a_second_opening_is_noticed(recorder: Recorder, tmp_path: Path) -> None:
    """By another hand; what the job itself wrote is its own affair. In a child too, which sees the new one only."""
    for name in ("same", "edited", "mine", "in a child"):
        old(tmp_path / name, recorder).read_text()
    subprocess.run(["sh", "-c", f"echo 1 > {tmp_path}/edited; echo 1 > '{tmp_path}/in a child'"], check=True)
    (tmp_path / "mine").write_text("by the job")
    for name in ("same", "edited", "mine"):
        (tmp_path / name).read_text()
    recorder._take("read", [str(tmp_path / "in a child"), *stamp_of((tmp_path / "in a child").stat())])
    assert {Path(path).name for path in recorder.read_again} == {"edited", "in a child"}


def test_what_was_edited_before_the_job_began_is_noticed(recorder: Recorder, tmp_path: Path) -> None:
    """An import takes seconds, and the snapshot is made after them."""
    for name in ("same", "edited"):
        old(tmp_path / name, recorder).read_text()
    subprocess.run(
        ["sh", "-c", f"echo 1 > {tmp_path}/edited; touch -r {tmp_path}/same {tmp_path}/same"], check=True
    )
    recorder.settle_start()
    assert recorder.changed_before == {str(tmp_path / "edited")}


def test_compiled_code_is_an_input(recorder: Recorder, tmp_path: Path) -> None:
    """No `open` tells of it: a module that was built in place, and a library."""
    import msgspec._core as compiled

    copy = tmp_path / Path(str(compiled.__file__)).name
    copy.write_bytes(Path(str(compiled.__file__)).read_bytes())
    recorder.reads.clear()
    recorder.written.clear()
    loader = importlib.machinery.ExtensionFileLoader("_core", str(copy))
    spec = importlib.util.spec_from_file_location("_core", copy, loader=loader)
    assert spec is not None
    importlib.util.module_from_spec(spec)
    assert seen(recorder, tmp_path) == {copy.name}
    recorder.reads.clear()
    ctypes.CDLL(str(copy))
    assert seen(recorder, tmp_path) == {copy.name}


def test_what_the_kernel_gives_is_told_apart(recorder: Recorder, tmp_path: Path) -> None:
    """Random numbers, pipes, and files by another way to them."""
    (tmp_path / "data").write_text("x")
    recorder.written.clear()
    reading, writing = os.pipe()
    os.write(writing, b"x")
    os.close(writing)
    with open("/dev/urandom", "rb") as stream, open(f"/dev/fd/{reading}", "rb") as pipe:  # noqa: PTH123
        stream.read(1), pipe.read(1)
    os.close(reading)
    Path(f"/proc/self/root{tmp_path}/data").read_text()
    Path("/proc/self/status").read_text()
    assert recorder.entropy == {"/dev/urandom"}
    assert recorder.pipes == {f"/dev/fd/{reading}"}
    assert {name for name, stamp in recorder.reads.items() if stamp} == {str(tmp_path / "data")}


def test_a_file_that_comes_later_is_seen_then(recorder: Recorder, tmp_path: Path) -> None:
    """An attempt that found nothing does not hide the file from the next."""
    path = tmp_path / "later"
    with pytest.raises(FileNotFoundError):
        path.open()
    subprocess.run(["touch", str(path)], check=True)
    path.read_text()
    assert seen(recorder, tmp_path) == {"later"}


def test_names_that_are_no_text(recorder: Recorder, tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\n"
    os.close(os.open(raw, os.O_WRONLY | os.O_CREAT))
    recorder.written.clear()
    with open(raw, "rb"):  # noqa: PTH123
        pass
    assert os.fsdecode(raw) in recorder.reads
    assert recorder.failure is None


def test_databases_and_programs_are_told(recorder: Recorder, tmp_path: Path) -> None:
    base = tmp_path / "base.db"
    base.touch()
    sqlite3.connect(base).close()
    sqlite3.connect(f"file:{base}?mode=ro", uri=True).close()
    sqlite3.connect(":memory:").close()
    subprocess.run(["true"], check=True, env={"PATH": os.environ["PATH"]})
    assert set(recorder.databases) == {str(base)}
    assert recorder.programs == {"true": False}
    subprocess.run([sys.executable, "-c", ""], check=True)
    subprocess.run([sys.executable, "-S", "-c", ""], check=True)
    _, unwatched = watched(recorder, True)
    assert recorder.programs[sys.executable] is False
    (line,) = [line for line in unwatched if "sign in" in line]
    assert sys.executable in line
    assert "other programs: true" in unwatched
    _, unwatched = watched(recorder, False)
    assert [line for line in unwatched if "repro_hydra_inputs.pth" in line]


def test_a_fault_of_ours_never_reaches_the_user(recorder: Recorder, tmp_path: Path) -> None:
    """It is kept, for the record; the file opens."""
    (tmp_path / "a").write_text("x")

    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    recorder.handlers["open"] = broken
    assert (tmp_path / "a").read_text() == "x"
    assert recorder.failure == "open: RuntimeError: a fault"


def test_inert_without_a_recorder(recorder: Recorder, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    deactivate()
    (tmp_path / "a").read_text()
    assert active() is None
    assert seen(recorder, tmp_path) == set()


def test_beyond_the_limit_folders_are_counted(
    recorder: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        (tmp_path / name).touch()
    recorder.reads.clear()
    recorder.written.clear()
    monkeypatch.setattr(module, "MOST_PATHS", 1)
    for name in "abcd":
        (tmp_path / name).read_text()
    assert len(recorder.reads) == 1
    assert recorder.folders == {str(tmp_path): 3}


def test_workers_of_each_epoch_tell_only_what_is_new(recorder: Recorder, tmp_path: Path) -> None:
    """Files of ended children are taken over before the next fork and removed; a killed child has told all."""
    lines = tmp_path / ".repro/reads"
    lines.mkdir(parents=True)
    for number in range(3):
        (tmp_path / f"{number}.png").touch()
    recorder.reads.clear()
    recorder.written.clear()
    recorder.listen(str(lines))
    for number in (0, 1, 1):
        pid = os.fork()
        if pid == 0:
            (tmp_path / f"{number}.png").read_text()
            os.kill(os.getpid(), 9)
        os.waitpid(pid, 0)
    (last,) = lines.iterdir()  # the two before were taken over
    assert len(last.read_text().splitlines()) == 1  # it had only its own name to tell
    del recorder.reads[str(last)]
    recorder.absorb()
    assert seen(recorder, tmp_path) == {"0.png", "1.png"}
    assert [child.role for child in recorder.children] == ["forked"] * 3
    assert list(lines.iterdir()) == []


def test_a_line_that_is_being_written_waits(tmp_path: Path) -> None:
    sink = wire.Sink(str(tmp_path), "python")
    sink.send("peer", "one:1")
    (file,) = tmp_path.iterdir()
    with file.open("ab") as stream:
        stream.write(b'["peer", "tw')
    source, told = wire.Source(str(tmp_path)), []
    source.read_on(lambda word, rest: told.append(rest[0]))
    with file.open("ab") as stream:
        stream.write(b'o:2"]\n')
    source.read_on(lambda word, rest: told.append(rest[0]))
    assert told == ["one:1", "two:2"]
    assert [child.pid for child in source.children] == [os.getpid()]


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_what_native_code_has_mapped_is_found(tmp_path: Path) -> None:
    """Opened where no event is raised: mapped here, and the descriptor closed again."""
    import mmap

    path = tmp_path / "mapped"
    path.write_bytes(b"x" * 4096)
    assert str(path) not in files_in_use()
    handle = os.open(path, os.O_RDONLY)
    view = mmap.mmap(handle, 0, prot=mmap.PROT_READ)
    assert str(path) in files_in_use()
    os.close(handle)
    assert str(path) in files_in_use()
    view.close()
    assert str(path) not in files_in_use()


def test_an_interpreter_that_is_no_job_loads_nothing() -> None:
    """The start-up file costs other programs of this environment a look at two strings."""
    code = "import sys; print('repro_hydra.inputs' in sys.modules)"
    clean = {name: value for name, value in os.environ.items() if name != wire.RUN_VARIABLE}
    plain = subprocess.run(
        [sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=True
    )
    assert plain.stdout == "False\n"
    asked = subprocess.run(
        [sys.executable, "-c", code, "+repro=strict"], env=clean, capture_output=True, text=True, check=True
    )
    assert asked.stdout == "True\n"


def test_a_rank_joins_the_run_once_it_is_there(recorder: Recorder, tmp_path: Path) -> None:
    """What it read before is told then, and only once."""
    lines = tmp_path / ".repro/reads"
    (tmp_path / "early").touch()
    recorder.reads.clear()
    recorder.written.clear()
    (tmp_path / "early").read_text()
    recorder.join(str(lines), "rank 1")
    lines.mkdir(parents=True)
    recorder.join(str(lines), "rank 1")
    recorder.join(str(lines), "rank 1")
    source, told = wire.Source(str(lines)), []
    source.read_on(lambda word, rest: told.append((word, rest[0])))
    assert told == [("read", str(tmp_path / "early"))]
    assert [child.role for child in source.children] == ["rank 1"]
