"""What `inspect_code` finds out, and that it changes nothing in finding it out."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import blake3
import msgspec
import pytest
from code_repository import Repository

from repro_hydra.code import inspect_code, snapshot_code
from repro_hydra.record.schema import Finding
from repro_hydra.reproduce.checkout import check_out_one
from repro_hydra.reproduce.code_source import find_one, repositories


def by_id(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {finding.id: finding for finding in findings}


def blocking(findings: tuple[Finding, ...]) -> list[str]:
    return [finding.id for finding in findings if finding.severity == "blocks"]


def test_a_clean_repository(repository: Repository) -> None:
    state = repository.inspect(start=repository.top / "train.py")
    record = state.record
    assert record.commit == repository.git("rev-parse", "HEAD").strip()
    assert record.tree == repository.git("rev-parse", "HEAD^{tree}").strip()
    assert record.commit_message == "first commit\n\nwith a body"
    assert record.commit_date is not None
    assert record.commit_date.endswith("Z")
    assert (record.branch, record.remote, record.on_remote) == ("main", None, False)
    assert (record.dirty, record.dirty_files, record.untracked_files, record.patch) == (False, [], [], None)
    assert state.patch == b""
    assert state.findings == ()
    assert Path(record.repository or "") == repository.top


def test_every_kind_of_difference_is_named_and_captured(repository: Repository, tmp_path: Path) -> None:
    repository.write("gone.py")
    repository.write("moved.py", "x = 1\n" * 20)
    repository.commit()
    repository.write("train.py", "print('changed')\n")
    repository.write("staged.py")
    repository.git("add", "staged.py")
    (repository.top / "gone.py").unlink()
    repository.git("mv", "moved.py", "new_name.py")
    repository.write("new/module.py")
    state = repository.inspect()
    record = state.record
    assert record.dirty is True
    assert record.dirty_files == ["gone.py", "moved.py", "new_name.py", "staged.py", "train.py"]
    assert record.untracked_files == ["new/module.py"]
    assert blocking(state.findings) == []
    assert by_id(state.findings)["dirty"].severity == "harmless"
    assert "6 files differ" in by_id(state.findings)["dirty"].message
    assert record.patch is not None
    assert record.patch.blake3 == blake3.blake3(state.patch).hexdigest()
    assert record.patch.size_bytes == len(state.patch)
    assert repository.apply(state, tmp_path / "again") == record.tree


def test_the_patch_is_what_git_diff_gives(repository: Repository) -> None:
    repository.write("train.py", "print('changed')\n")
    repository.write("pkg/data.bin", bytes(range(256)) * 10)
    repository.git("add", "-A")
    repository.git("mv", "pkg/model.py", "pkg/network.py")
    assert repository.inspect().patch == repository.git_bytes("diff", "--binary", "--full-index", "HEAD")


def test_nothing_in_the_repository_changes(repository: Repository) -> None:
    repository.write("train.py", "print('stashed')\n")
    repository.git("stash")
    repository.write("train.py", "print('staged')\n")
    repository.git("add", "train.py")
    repository.write("train.py", "print('changed')\n")
    repository.write("untracked.py")
    os.utime(repository.top / "pkg/model.py")  # stat-dirty: `git status` would refresh the index
    before = repository.fingerprint()
    state = repository.inspect()
    assert repository.fingerprint() == before
    snapshot_code(state)
    after = repository.fingerprint()
    added = {name for name in after.keys() - before.keys() if not name.startswith("objects/")}
    assert added == set()
    assert {name: after[name] for name in before} == before
    assert state.record.dirty_files == ["train.py"]


def test_the_state_is_plain_data(repository: Repository) -> None:
    repository.write("new.py")
    state = pickle.loads(pickle.dumps(repository.inspect()))
    snapshot = snapshot_code(state).snapshot
    assert repository.git("show", f"{snapshot}:new.py") == "content\n"
    assert msgspec.json.decode(msgspec.json.encode(state.record), type=type(state.record)) == state.record


def test_what_the_process_sees_counts_not_what_is_staged(repository: Repository) -> None:
    repository.write("train.py", "print('staged')\n")
    repository.git("add", "train.py")
    repository.write("train.py", "print('hello')\n")  # as in HEAD again
    repository.git("rm", "-q", "--cached", "pkg/model.py")  # still there
    record = repository.inspect().record
    assert record.dirty is False
    assert record.tree == repository.git("rev-parse", "HEAD^{tree}").strip()


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_a_change_that_git_was_told_to_overlook_is_seen(repository: Repository, flag: str) -> None:
    repository.git("update-index", flag, "pkg/model.py")
    assert repository.inspect().record.dirty is False
    repository.write("pkg/model.py", "SIZE = 2\n")
    assert repository.git("status", "--porcelain") == ""
    before = repository.fingerprint()
    state = repository.inspect()
    assert state.record.dirty_files == ["pkg/model.py"]
    assert b"SIZE = 2" in state.patch
    assert repository.fingerprint() == before


def test_a_sparse_checkout_keeps_what_it_left_out(repository: Repository) -> None:
    repository.git("sparse-checkout", "set", "--no-cone", "/train.py")
    assert not (repository.top / "pkg").exists()
    record = repository.inspect().record
    assert record.dirty is False
    assert record.tree == repository.git("rev-parse", "HEAD^{tree}").strip()


def test_a_change_in_the_same_instant_as_the_index_is_seen(repository: Repository) -> None:
    """Git calls it racy: same size, as old as the index. A copy of the index that looks younger would hide it."""
    repository.git("config", "core.trustctime", "false")
    repository.git("config", "core.checkStat", "minimal")
    long_ago = (1_700_000_000 * 10**9,) * 2
    model, index = repository.top / "pkg/model.py", repository.top / ".git/index"
    os.utime(model, ns=long_ago)
    repository.git("add", "-A")
    repository.write("pkg/model.py", "SIZE = 2\n")
    os.utime(model, ns=long_ago)
    os.utime(index, ns=long_ago)
    assert b"SIZE = 2" in repository.inspect().patch


def test_conflicts_are_captured_as_they_stand(repository: Repository, tmp_path: Path) -> None:
    repository.git("checkout", "-q", "-b", "other")
    repository.write("train.py", "print('other')\n")
    repository.commit()
    repository.git("checkout", "-q", "main")
    repository.write("train.py", "print('main')\n")
    repository.commit()
    subprocess.run(["git", "merge", "other"], cwd=repository.top, capture_output=True)
    state = repository.inspect()
    assert b"<<<<<<<" in state.patch
    assert repository.apply(state, tmp_path / "again") == state.record.tree


# --- where it is asked -----------------------------------------------------------------------------------


def test_no_repository(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    state = inspect_code(tmp_path / "train.py", max_file_bytes=1, max_patch_bytes=1)
    assert blocking(state.findings) == ["no-git-repository"]
    assert (state.record.repository, state.record.commit, state.record.dirty) == (None, None, None)
    assert "git init" in state.findings[0].message
    assert snapshot_code(state) == state.record


def test_folders_of_the_same_project_are_no_second_cause(tmp_path: Path) -> None:
    """Python puts the script's folder, or that of ``-m``, on its path: a repository made there is around all of it."""
    for folder in ("project/train", "project/src", "other"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "main.py").write_text("")
    script = tmp_path / "project" / "train" / "main.py"
    (tmp_path / "project" / "setup.py").write_text("")

    def found(*folders: str) -> list[str]:
        imported = {tmp_path / folder: "sys.path" for folder in folders}
        state = inspect_code(script, max_file_bytes=1, max_patch_bytes=1, imported=imported)
        return blocking(state.findings)

    assert found("project/train", "project") == ["no-git-repository"]
    assert found("project/train", "other") == ["no-git-repository", f"code-not-captured:{tmp_path / 'other'}"]


def test_inside_the_git_directory_there_is_no_work_tree(repository: Repository) -> None:
    assert blocking(repository.inspect(start=repository.top / ".git").findings) == ["no-git-repository"]


def test_no_commit_yet(tmp_path: Path) -> None:
    empty = Repository(tmp_path)
    empty.git("init", "-q")
    assert blocking(empty.inspect().findings) == ["no-commit"]
    empty.write("train.py")
    state = empty.inspect()
    assert blocking(state.findings) == ["no-commit"]
    assert state.record.commit is None
    assert state.record.untracked_files == ["train.py"]
    snapshot = snapshot_code(state).snapshot
    assert empty.git("ls-tree", "--name-only", snapshot or "") == "train.py\n"


def test_git_is_not_there(repository: Repository) -> None:
    state = repository.inspect(environ={"PATH": "/nonexistent"})
    assert blocking(state.findings) == ["git-unavailable"]
    assert state.record.dirty is None


def test_git_does_not_trust_the_repository(repository: Repository) -> None:
    state = repository.inspect(environ={**os.environ, "GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"})
    assert blocking(state.findings) == ["git-refused"]
    assert f"git config --global --add safe.directory {repository.top}" in state.findings[0].message
    assert state.record.dirty is None


def test_a_repository_that_is_broken_is_not_a_clean_one(repository: Repository) -> None:
    (repository.top / ".git/index").write_bytes(b"nonsense")
    state = repository.inspect()
    assert blocking(state.findings) == ["git-refused"]
    assert state.record.dirty is None
    assert state.record.commit is not None


def test_a_detached_head_a_worktree_and_a_shallow_clone(repository: Repository, tmp_path: Path) -> None:
    repository.commit("second")
    repository.git("worktree", "add", "-q", "--detach", str(tmp_path / "tree"))
    worktree = Repository(tmp_path / "tree")
    worktree.write("train.py", "print('here')\n")
    state = worktree.inspect()
    assert state.record.branch is None
    assert state.record.dirty_files == ["train.py"]
    assert repository.git("show", f"{snapshot_code(state).snapshot}:train.py") == "print('here')\n"
    assert repository.inspect().record.dirty is False

    repository.git("clone", "-q", "--depth=1", f"file://{repository.top}", str(tmp_path / "shallow"))
    shallow = Repository(tmp_path / "shallow")
    record = snapshot_code(shallow.inspect())
    assert record.on_remote is True
    assert record.snapshot == record.commit
    shallow.write("new.py")
    assert snapshot_code(shallow.inspect()).snapshot_ref is not None
    # A rerun asks git about the tree that it was given: the history ends there where it ends here.
    near = repositories([shallow.top], os.environ)
    check_out_one(record, {}, find_one(record, {}, near, os.environ), tmp_path / "again", os.environ)
    again = Repository(tmp_path / "again").inspect()
    assert (blocking(again.findings), again.record.tree) == ([], record.tree)


def test_a_remote_is_recorded_without_its_credentials(repository: Repository, tmp_path: Path) -> None:
    repository.git("clone", "-q", "--bare", str(repository.top), str(tmp_path / "bare.git"))
    repository.git("remote", "add", "backup", "https://me:hunter2@example.org/backup.git")
    assert repository.inspect().record.remote == "https://example.org/backup.git"
    repository.git("remote", "add", "origin", str(tmp_path / "bare.git"))
    repository.git("push", "-q", "origin", "main")
    record = repository.inspect().record
    assert (record.remote, record.on_remote) == (str(tmp_path / "bare.git"), True)
    repository.git("config", "branch.main.remote", "backup")
    assert repository.inspect().record.remote == "https://example.org/backup.git"
    repository.commit("ahead")
    assert repository.inspect().record.on_remote is False


def test_submodules(repository: Repository, tmp_path: Path) -> None:
    library = tmp_path / "library"
    library.mkdir()
    other = Repository(library)
    other.git("init", "-q")
    other.write("lib.py", "V = 1\n")
    first = other.commit()
    repository.git("submodule", "add", "-q", str(library), "vendor/lib")
    repository.git("config", "submodule.vendor/lib.ignore", "all")  # must not hide it
    repository.commit("with a submodule")
    module = Repository(repository.top / "vendor/lib")

    def seen() -> tuple[str, bool | None]:
        (submodule,) = repository.inspect().record.submodules
        assert submodule.path == "vendor/lib"
        return submodule.commit, submodule.dirty

    assert seen() == (first, False)
    module.write("lib.py", "V = 2\n")
    index = (repository.top / ".git/modules/vendor/lib/index").read_bytes()
    state = repository.inspect()
    assert seen() == (first, True)
    assert blocking(state.findings) == []
    assert state.record.dirty is True
    (inner,) = state.others
    assert inner.record.imported_by == ["submodule vendor/lib"]
    assert inner.record.commit == first
    assert b"+V = 2" in inner.patch
    assert f"dirty:{module.top}" in {finding.id for finding in state.findings}
    assert snapshot_code(inner).snapshot_ref is not None
    assert module.git("for-each-ref", "refs/repro/") != ""
    assert repository.git("for-each-ref", "refs/repro/") == ""
    module.write("id_rsa", "secret")
    assert blocking(repository.inspect().findings) == [f"code-not-captured:{module.top}/id_rsa"]
    (module.top / "id_rsa").unlink()
    assert (repository.top / ".git/modules/vendor/lib/index").read_bytes() == index
    second = module.commit()
    state = repository.inspect()
    assert seen() == (second, False)
    assert blocking(state.findings) == []
    assert [other.record.commit for other in state.others] == [second]  # which no remote has
    module.git("push", "-q", "origin", "HEAD:refs/heads/pushed")
    state = repository.inspect()
    assert state.others == ()
    assert state.record.dirty_files == ["vendor/lib"]
    assert f"+Subproject commit {second}".encode() in state.patch
    repository.apply(state, tmp_path / "again")
    repository.git("submodule", "deinit", "-q", "-f", "vendor/lib")
    assert seen() == (first, None)


# --- the script ------------------------------------------------------------------------------------------


def test_a_script_outside_the_repository(repository: Repository, tmp_path: Path) -> None:
    script = tmp_path / "elsewhere.py"
    script.write_text("")
    assert blocking(repository.inspect(script=script).findings) == [f"script-outside-repository:{script}"]


def test_a_script_that_git_ignores_is_not_captured(repository: Repository) -> None:
    repository.write(".gitignore", "scratch/\n")
    repository.write("scratch/try.py")
    repository.commit()
    state = repository.inspect(start=repository.top / "scratch/try.py")
    assert blocking(state.findings) == ["code-not-captured:scratch/try.py"]
    assert "git add -f" in state.findings[0].message


def test_a_new_script_and_a_console_script_are_well(repository: Repository) -> None:
    repository.write("new.py")
    assert blocking(repository.inspect(start=repository.top / "new.py").findings) == []
    assert blocking(repository.inspect(script=Path(sys.prefix) / "bin/some-command").findings) == []
