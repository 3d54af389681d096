"""The snapshot: what was looked at, under one ref a content, and nothing else."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from code_repository import Repository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from repro_hydra.code import SnapshotError, snapshot_code
from repro_hydra.code.git import Git
from repro_hydra.code.snapshot import _make


def refs(repository: Repository) -> list[str]:
    return repository.git("for-each-ref", "--format=%(refname)", "refs/repro").split()


def test_a_commit_that_a_remote_has_needs_no_ref(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "-q", "--bare", str(repository.top), str(tmp_path / "bare.git"))
    repository.git("remote", "add", "origin", str(tmp_path / "bare.git"))
    repository.git("fetch", "-q", "origin")
    record = snapshot_code(repository.inspect())
    assert (record.snapshot, record.snapshot_ref) == (record.commit, None)
    assert refs(repository) == []


def test_a_commit_that_no_remote_has_is_kept_itself(repository: Repository) -> None:
    record = snapshot_code(repository.inspect())
    assert record.snapshot == record.commit
    assert refs(repository) == [record.snapshot_ref]
    assert record.snapshot_ref == f"refs/repro/{record.tree}"


def test_a_snapshot_is_the_child_of_its_commit(repository: Repository) -> None:
    repository.write("new.py")
    record = snapshot_code(repository.inspect())
    shown = repository.git("log", "-1", "--format=%P|%T|%an|%ce", record.snapshot or "")
    assert shown.strip() == f"{record.commit}|{record.tree}|repro_hydra|repro_hydra@localhost"
    assert record.snapshot != record.commit


def test_what_mlflow_writes_beside_the_script_is_no_code(repository: Repository) -> None:
    """It grows with each run: as code, each run of a sweep would stand on another one than the last."""
    before = snapshot_code(repository.inspect())
    for name in ("mlflow.db", "mlflow.db.new", "mlruns/0/meta.yaml"):
        repository.write(name, "of a run")
    assert snapshot_code(repository.inspect()).tree == before.tree
    repository.write("mlflow_helpers.py")
    assert snapshot_code(repository.inspect()).tree != before.tree


def test_the_same_content_has_one_ref_and_one_id(repository: Repository) -> None:
    repository.write("new.py")
    first = snapshot_code(repository.inspect())
    assert snapshot_code(repository.inspect()) == first
    repository.git("update-ref", "-d", first.snapshot_ref or "")
    time.sleep(1.1)  # another second: a date of now would make another commit
    assert snapshot_code(repository.inspect()) == first
    repository.write("new.py", "other\n")
    assert snapshot_code(repository.inspect()).snapshot != first.snapshot
    assert len(refs(repository)) == 2


def test_the_snapshot_is_of_what_was_looked_at(repository: Repository) -> None:
    repository.write("new.py", "when it was looked at\n")
    state = repository.inspect()
    repository.write("new.py", "by now\n")
    snapshot = snapshot_code(state).snapshot
    assert repository.git("show", f"{snapshot}:new.py") == "when it was looked at\n"


def test_without_an_identity(repository: Repository, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("[user]\n\tuseConfigOnly = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "empty"))
    repository.write("new.py")
    assert snapshot_code(repository.inspect()).snapshot is not None


def test_a_repository_that_takes_nothing(repository: Repository) -> None:
    repository.write("new.py")
    state = repository.inspect()
    refs_folder = repository.top / ".git/refs/repro"
    refs_folder.write_text("a file where the folder should be")
    with pytest.raises(SnapshotError, match="expected to keep a snapshot in"):
        snapshot_code(state)


def test_a_ref_that_another_run_made_meanwhile_stays(repository: Repository) -> None:
    other = repository.git("rev-parse", "HEAD").strip()
    repository.commit("another commit with the same tree")
    state = repository.inspect()
    ref = f"refs/repro/{state.record.tree}"
    repository.git("update-ref", ref, other)
    assert _make(Git(repository.top, os.environ), ref, state, differs=False) == other
    assert repository.git("rev-parse", ref).strip() == other


def test_two_runs_at_once_keep_one_snapshot(repository: Repository) -> None:
    repository.write("new.py")
    program = (
        "import sys; from pathlib import Path; from repro_hydra.code import *; sys.stdin.read();"
        "print(snapshot_code(inspect_code(Path(sys.argv[1]), max_file_bytes=10**6, max_patch_bytes=10**6)).snapshot)"
    )
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(repository.top)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    answers = {run.communicate("")[0].strip() for run in runs}
    assert answers == {repository.git("rev-parse", refs(repository)[0]).strip()}


CAPTURING = """
import itertools, os, sys
from pathlib import Path
from repro_hydra.code import *
from repro_hydra.code.bundle import bundle_code
from repro_hydra.code.freeze import Owner, freeze

top, place = map(Path, sys.argv[1:])
print("ready", flush=True)
for number in itertools.count():
    record = snapshot_code(inspect_code(top, max_file_bytes=10**6, max_patch_bytes=10**7))
    bundle_code(top, record, 10**7, os.environ)
    owner = Owner(
        sweep_id=str(number), sweep_dir="", host="", pid=0, pid_started_at=0.0, created_at="", top=str(top),
        tree_id=record.tree, commit=record.commit, branch=record.branch,
    )
    freeze(owner, place, environ=os.environ)
"""


@pytest.mark.parametrize("kills", [10, pytest.param(50, marks=pytest.mark.soak)])
def test_a_capture_that_is_killed_leaves_all_as_it_was(
    repository: Repository, tmp_path: Path, kills: int
) -> None:
    """SIGKILL at random instants of looking, keeping, bundling and freezing, with every kind of change there is."""
    repository.write("pkg/model.py", "SIZE = 5\n")
    repository.git("stash", "push", "-q")
    repository.write("train.py", "print('staged')\n")
    repository.git("add", "train.py")
    repository.write("train.py", "print('changed')\n")
    for number in range(30):
        repository.write(f"new/{number}.py", f"{number}\n" * 1000)
    status = repository.git("status", "--porcelain=v2", "--branch")  # which brings the index up to date
    before = repository.fingerprint()
    instants = random.Random(0)
    for number in range(kills):
        run = subprocess.Popen(
            [sys.executable, "-c", CAPTURING, str(repository.top), str(tmp_path / f"frozen-{number}")],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert run.stdout is not None
        run.stdout.readline()
        time.sleep(instants.uniform(0, 0.2))
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        run.stdout.close()
        for ref in refs(repository):
            repository.git("update-ref", "-d", ref)
    after = repository.fingerprint()
    assert {name: after[name] for name in before} == before
    assert repository.git("status", "--porcelain=v2", "--branch") == status
    assert repository.git("fsck", "--strict", "--no-dangling").strip() == ""


# --- any state of a repository ---------------------------------------------------------------------------

NAMES = [
    b"a.py",
    b"b c.py",
    b"d/e.py",
    b"d/f/g.py",
    "größe.py".encode(),
    b"new\nline.py",
    b'quo"te\t.py',
    b"d/-x",
    b"\xff.py",
]
CONTENTS = [
    b"",
    b"x = 1\n",
    b"x = 1\ny = 2\n" * 30,
    b"no newline",
    bytes(range(256)),
    b"dos\r\nlines\r\n",
    b" \n\n \n",
]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["write", "delete", "mode", "link", "stage", "unstage", "rename", "commit"]),
        st.sampled_from(NAMES),
        st.sampled_from(CONTENTS),
    ),
    max_size=14,
)


def perform(repository: Repository, step: str, name: bytes, content: bytes) -> None:
    path = os.path.join(os.fsencode(repository.top), name)  # noqa: PTH118 (bytes)
    if step == "write":
        if os.path.islink(path):  # noqa: PTH114
            os.unlink(path)  # noqa: PTH108
        repository.write(name, content)
    elif step == "delete" and os.path.lexists(path):
        os.unlink(path)  # noqa: PTH108
    elif step == "mode" and os.path.exists(path):  # noqa: PTH110
        os.chmod(path, os.stat(path).st_mode ^ 0o100)  # noqa: PTH101, PTH116
    elif step == "link" and not os.path.lexists(path):
        repository.write(name, b"")
        os.unlink(path)  # noqa: PTH108
        os.symlink(b"somewhere/else", path)  # noqa: PTH211
    elif step == "rename" and os.path.lexists(path):
        os.rename(path, os.path.join(os.fsencode(repository.top), b"renamed"))  # noqa: PTH104, PTH118
    else:
        commands = {
            "stage": ["add", "-A", "--", "."],
            "unstage": ["reset", "-q"],
            "commit": ["commit", "-q", "--allow-empty", "-m", "x"],
        }
        if step in commands:
            repository.git(*commands[step])


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_commit_and_patch_make_the_tree_again_and_nothing_changed(
    steps: list[tuple[str, bytes, bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    repository = Repository(folder / "project")
    repository.top.mkdir()
    repository.git("init", "-q")
    repository.git("config", "core.autocrlf", "false")
    for name in NAMES[::2]:
        repository.write(name, CONTENTS[2])
    repository.commit()
    for step in steps:
        perform(repository, *step)
    before = repository.fingerprint()
    status = repository.git_bytes("status", "--porcelain=v2", "-z")
    index = (repository.top / ".git/index").read_bytes()  # `status` above may have refreshed it
    state = repository.inspect()
    record = snapshot_code(state)
    assert (repository.top / ".git/index").read_bytes() == index
    assert repository.git_bytes("status", "--porcelain=v2", "-z") == status
    after = repository.fingerprint()
    unchanged = before.keys() - {"index", "(index's time)"}
    assert {name: after[name] for name in unchanged} == {name: before[name] for name in unchanged}
    assert [finding.id for finding in state.findings if finding.severity == "blocks"] == []
    assert record.tree == repository.git("rev-parse", f"{record.snapshot}^{{tree}}").strip()
    repository.git("add", "-A")
    assert repository.git("write-tree").strip() == record.tree  # what `git add` of everything would give
    assert repository.apply(state, folder / "again") == record.tree
