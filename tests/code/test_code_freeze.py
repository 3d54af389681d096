"""A copy of the code: the bytes of the work tree, held as they were made, and nothing of the user's lost at its end."""

# ruff: noqa: PTH115, PTH118 (paths are bytes here: a name need not be text)
from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from code_repository import Repository

from repro_hydra.code import snapshot_code
from repro_hydra.code.findings import CODE_CHANGED
from repro_hydra.code.freeze import FreezeError, Owner, freeze, hold
from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.code.release import release
from repro_hydra.code.unfrozen import changes_since, code_at_start
from repro_hydra.config import CodeConf
from repro_hydra.launcher.freezing import freeze_sweep
from repro_hydra.session.plan import SweepPlace


def frozen_copy(repository: Repository, place: Path) -> FrozenTree:
    record = snapshot_code(repository.inspect())
    assert record.tree is not None
    owner = Owner(
        sweep_id="0" * 32, sweep_dir=str(place), host="here", pid=os.getpid(), pid_started_at=0.0,
        created_at="2026-01-01T00:00:00Z", top=str(repository.top), tree_id=record.tree, commit=record.commit,
        branch=record.branch,
    )  # fmt: skip
    return freeze(owner, place, environ=os.environ)


def content(top: Path | str) -> dict[bytes, object]:
    """Every file below `top`, with its content or where it leads, and whether it can be executed."""
    found: dict[bytes, object] = {}
    root = os.fsencode(top)
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in (b".git", b"__pycache__")]
        for name in [*names, *(name for name in folders if os.path.islink(os.path.join(folder, name)))]:  # noqa: PTH114
            path = os.path.join(folder, name)
            relative = path[len(root) + 1 :]
            if os.path.islink(path):  # noqa: PTH114
                found[relative] = os.readlink(path)
            else:
                with open(path, "rb") as stream:  # noqa: PTH123
                    found[relative] = stream.read(), os.stat(path).st_mode & 0o111, os.stat(path).st_mtime_ns  # noqa: PTH116
    return found


def test_the_copy_has_the_very_bytes(repository: Repository, tmp_path: Path) -> None:
    """Line ends, filters, modes, links, times and odd names are as in the work tree; the rest is linked in."""
    repository.write(".gitattributes", "*.txt text\n*.up filter=up\n")
    repository.git("config", "core.autocrlf", "true")
    repository.git("config", "filter.up.clean", "tr a-z A-Z")
    repository.git("config", "filter.up.smudge", "cat")
    repository.write(".gitignore", "data/\n*.log\n")
    repository.commit()
    repository.write("mixed.txt", b"one\r\ntwo\n")  # neither what git stores nor what it would check out
    repository.write("shout.up", "quiet\n")
    repository.write(b"odd \xff\n\"name'.py", "X = 1\n")
    repository.write("tool.sh", "#!/bin/sh\n")
    (repository.top / "tool.sh").chmod(0o755)
    (repository.top / "inner").symlink_to("pkg")
    (tmp_path / "elsewhere").mkdir()
    (repository.top / "outer").symlink_to("../elsewhere")
    repository.write("data/input.bin", b"\0")
    repository.write("pkg/model.log", "ignored")
    repository.write(".env", "TOKEN=x\n")
    snapshot_code(repository.inspect())
    before = repository.fingerprint()
    frozen = frozen_copy(repository, tmp_path / "cache")
    copy, original = content(frozen.tree), content(repository.top)
    top = os.fsencode(repository.top)
    linked = {b"data", b"pkg/model.log", b".env"}
    assert {path: copy.pop(path) for path in linked} == {path: os.path.join(top, path) for path in linked}
    assert copy.pop(b"outer") == os.fsencode(tmp_path / "elsewhere")
    assert copy == {path: original[path] for path in copy}
    assert original.keys() - copy.keys() == {b"data/input.bin", b"pkg/model.log", b".env", b"outer"}
    assert repository.fingerprint() == before
    # A program that asks git there is answered as in the user's tree, but for the link that leads out of it.
    inside, here = Repository(Path(frozen.tree)), repository
    for question in (
        ["rev-parse", "HEAD"],
        ["rev-parse", "--abbrev-ref", "HEAD"],
        ["config", "core.autocrlf"],
    ):
        assert inside.git(*question) == here.git(*question)
    assert inside.git("rev-parse", "--show-toplevel").strip() == frozen.tree
    said = set(inside.git_bytes("status", "--porcelain", "-z").split(b"\0"))
    assert said == set(here.git_bytes("status", "--porcelain", "-z").split(b"\0")) - {b"?? .env"}
    assert frozen.counterpart(str(repository.top / "pkg")) == f"{frozen.tree}/pkg"
    assert frozen.counterpart(str(repository.top / "data")) is None
    assert frozen.counterpart(str(tmp_path)) is None


def test_submodules_and_other_repositories_are_frozen_too(repository: Repository, tmp_path: Path) -> None:
    """Each with its own changes, in its place; what jobs write there is told apart from what was there."""
    library, outer = Repository(tmp_path / "library"), Repository(tmp_path / "outer")
    for other, path in ((library, "lib.py"), (outer, "src/outer.py")):
        other.top.mkdir()
        other.git("init", "-q")
        other.write(path, "V = 1\n")
        other.commit()
    for path in ("vendor/dirty", "vendor/clean"):
        repository.git("submodule", "add", "-q", str(library.top), path)
    repository.commit()
    repository.write("vendor/dirty/lib.py", "V = 2\n")
    outer.write("src/outer.py", "V = 3\n")
    state = repository.inspect(imported={outer.top / "src": "PYTHONPATH"})
    record = snapshot_code(state)
    others = [snapshot_code(other) for other in state.others]
    record = msgspec.structs.replace(record, others=others)
    sweep = SweepPlace(sweep_id="2" * 32, sweep_dir="", host="", pid=0, pid_started_at=0.0)
    frozen = freeze_sweep(record, CodeConf(freeze_dir=str(tmp_path / "cache")), sweep)
    for path, text in (("vendor/dirty/lib.py", "V = 2\n"), ("vendor/clean/lib.py", "V = 1\n")):
        repository.write(path, "edited\n")
        assert frozen.counterpart(str(repository.top / path)) == f"{frozen.tree}/{path}"
        assert Path(frozen.tree, path).read_text() == text
    inside = frozen.counterpart(str(outer.top / "src/outer.py"))
    assert inside is not None
    assert Path(inside).read_text() == "V = 3\n"
    assert (
        frozen.shown(f"{inside}:1 {frozen.tree}/train.py", str(repository.top))
        == f"{outer.top}/src/outer.py:1 train.py"
    )
    Path(inside).write_text("V = 4\n")
    Path(frozen.tree, "vendor/dirty/lib.py").unlink()
    assert sorted(hold(frozen, environ=os.environ)) == ["lib.py", "src/outer.py"]
    assert Path(frozen.tree, "vendor/dirty/lib.py").read_text() == "V = 2\n"
    assert hold(frozen, environ=os.environ) == []
    Path(frozen.tree, "vendor/dirty/new.txt").write_text("new")
    released = release(frozen, tmp_path / "left")
    assert released.moved == [repository.top / "vendor/dirty/new.txt"]
    assert released.kept == [tmp_path / "left/written"]


def test_what_is_written_between_snapshot_and_copy(repository: Repository, tmp_path: Path) -> None:
    """The copy is of the snapshot, whatever the work tree holds by the time that it is made."""
    record = snapshot_code(repository.inspect())
    owner = Owner(
        sweep_id="1" * 32, sweep_dir="", host="", pid=0, pid_started_at=0.0, created_at="", top=str(repository.top),
        tree_id=record.tree or "", commit=record.commit, branch=None,
    )  # fmt: skip
    repository.write("train.py", "edited\n")
    (repository.top / "pkg/model.py").unlink()
    frozen = freeze(owner, tmp_path / "cache", environ=os.environ)
    assert Path(frozen.tree, "train.py").read_text() == "print('hello')\n"
    assert Path(frozen.tree, "pkg/model.py").read_text() == "SIZE = 1\n"
    assert Repository(Path(frozen.tree)).git("status", "--porcelain") == ""


def test_a_sparse_checkout_stays_sparse(repository: Repository, tmp_path: Path) -> None:
    """What a single run would not find is not in the copy either, and holding it does not bring it back."""
    repository.write("docs/page.md")
    repository.commit()
    repository.git("sparse-checkout", "set", "pkg")
    frozen = frozen_copy(repository, tmp_path / "cache")
    assert content(frozen.tree) == content(repository.top)
    assert hold(frozen, environ=os.environ) == []


def test_the_copy_is_held(repository: Repository, tmp_path: Path) -> None:
    """A file that was edited, lost or replaced is put back; a copy that is not there is made again."""
    frozen = frozen_copy(repository, tmp_path / "cache")
    made = content(frozen.tree)
    assert hold(frozen, environ=os.environ) == []
    Path(frozen.tree, "train.py").write_text("print('HELLO')\n")
    Path(frozen.tree, "pkg/model.py").unlink()
    assert sorted(hold(frozen, environ=os.environ)) == ["pkg/model.py", "train.py"]
    assert {path: value[0] for path, value in content(frozen.tree).items()} == {
        path: value[0] for path, value in made.items()
    }
    assert hold(frozen, environ=os.environ) == []
    import shutil

    shutil.rmtree(frozen.tree)
    repository.write("train.py", "edited meanwhile\n")
    assert hold(frozen, environ=os.environ) == [frozen.tree]
    assert Path(frozen.tree, "train.py").read_text() == "print('hello')\n"
    shutil.rmtree(frozen.folder)
    with pytest.raises(FreezeError, match=r"code\.freeze_dir"):
        hold(frozen, environ=os.environ)


def test_nothing_that_a_job_wrote_is_lost(repository: Repository, tmp_path: Path) -> None:
    """What is new goes to the user's tree; what would overwrite something there is kept aside."""
    repository.write(".gitignore", "out/\n")
    repository.write("out/old.txt")
    repository.commit()
    frozen = frozen_copy(repository, tmp_path / "cache")
    tree, left = Path(frozen.tree), tmp_path / "left"
    (tree / "new/deep").mkdir(parents=True)
    (tree / "new/deep/a.txt").write_text("a")
    (tree / "pkg/b.txt").write_text("b")
    (tree / "pkg/__pycache__").mkdir()
    (tree / "out/through-the-link.txt").write_text("c")
    (tree / "taken.txt").write_text("the job's")
    repository.write("taken.txt", "the user's")
    (tree / "pkg/model.py").write_text("SIZE = 2\n")
    released = release(frozen, left)
    top = repository.top
    assert sorted(released.moved) == [top / "new", top / "pkg/b.txt"]
    assert (top / "new/deep/a.txt").read_text() == "a"
    assert (top / "out/through-the-link.txt").read_text() == "c"
    assert (top / "taken.txt").read_text() == "the user's"
    assert (left / "taken.txt").read_text() == "the job's"
    assert (top / "pkg/model.py").read_text() == "SIZE = 1\n"
    assert (left / "pkg/model.py").read_text() == "SIZE = 2\n"
    assert not Path(frozen.folder).exists()


def test_a_place_that_will_not_do(repository: Repository, tmp_path: Path) -> None:
    """Inside the work tree the copy would be captured with it; half of a copy is none."""
    with pytest.raises(FreezeError, match="outside of"):
        frozen_copy(repository, repository.top / "cache")
    (tmp_path / "file").write_text("")
    with pytest.raises(FreezeError, match="freeze=off"):
        frozen_copy(repository, tmp_path / "file")


def test_code_that_is_not_what_it_was(repository: Repository, tmp_path: Path) -> None:
    """In place: a changed, lost or replaced file is named, one that was touched or written alike is not."""
    repository.write("line\nbreak.py", "1\n")
    repository.write('"quoted".py', "1\n")
    (repository.top / "link").symlink_to("pkg")
    repository.commit()
    record = snapshot_code(repository.inspect())
    assert record.tree is not None
    for began_ns in (0, 1 << 62):  # no state of a file is trusted, or every one is
        note = tmp_path / f"note-{began_ns}"
        code_at_start(repository.top, record.tree, began_ns, environ=os.environ).save(note)

    def ids() -> set[str]:
        answers = [
            changes_since(note, "blocks", environ=os.environ) for note in sorted(tmp_path.glob("note-*"))
        ]
        assert answers[0] == answers[1]
        return {finding.id.removeprefix(CODE_CHANGED) for finding in answers[0]}

    assert ids() == set()
    repository.write("train.py", "print('hello')\n")
    os.utime(repository.top / "line\nbreak.py")
    assert ids() == set()
    repository.write("line\nbreak.py", "2\n")
    repository.write('"quoted".py', "2\n")
    (repository.top / "link").unlink()
    (repository.top / "link").symlink_to("elsewhere")
    (repository.top / "train.py").unlink()
    assert ids() == {"line\nbreak.py", '"quoted".py', "link", "train.py"}
