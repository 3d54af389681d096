"""The user's settings of git change neither the patch nor what it is made of."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest
from code_repository import Repository

from repro_hydra.code import snapshot_code

SETTINGS = [
    ("diff.noprefix", "true"),
    ("diff.mnemonicPrefix", "true"),
    ("diff.external", "false"),
    ("diff.context", "0"),
    ("diff.algorithm", "patience"),
    ("diff.renames", "false"),
    ("diff.orderFile", "/nonexistent"),
    ("diff.suppressBlankEmpty", "true"),
    ("diff.submodule", "log"),
    ("diff.relative", "true"),
    ("diff.wordRegex", "."),
    ("color.ui", "always"),
    ("color.diff", "always"),
    ("core.quotePath", "false"),
    ("core.fsmonitor", "true"),
    ("core.untrackedCache", "true"),
    ("core.splitIndex", "true"),
    ("core.pager", "false"),
    ("status.showUntrackedFiles", "no"),
    ("status.renames", "copies"),
    ("status.relativePaths", "true"),
    ("status.short", "true"),
    ("commit.gpgSign", "true"),
    ("gpg.program", "false"),
    ("log.showSignature", "true"),
    ("log.date", "relative"),
    ("format.pretty", "oneline"),
    ("i18n.logOutputEncoding", "latin1"),
    ("i18n.commitEncoding", "latin1"),
    ("index.version", "4"),
    ("pack.packSizeLimit", "1m"),
    ("core.compression", "0"),
]


def change_much(repository: Repository) -> None:
    repository.write("moved.py", "x = 1\n\ny = 2\n" * 20)
    repository.write("pkg/model.py", "\n\nSIZE = 1\n\n")
    repository.commit("zwölf Ätzende")
    repository.write("train.py", "print('changed')\n\n")
    repository.write("pkg/model.py", "\n\nSIZE = 2\n\n")
    repository.git("mv", "moved.py", "größer.py")
    repository.write("pkg/new file.py", "a = 1\n\nb = 2\n")
    repository.write("pkg/data.bin", bytes(range(256)))


def test_every_setting_that_bends_git(repository: Repository, tmp_path: Path) -> None:
    change_much(repository)
    plain = repository.inspect()
    assert plain.record.dirty
    kept = snapshot_code(plain)
    repository.git("update-ref", "-d", kept.snapshot_ref or "")
    for name, value in SETTINGS:
        repository.git("config", name, value)
        state = repository.inspect(start=repository.top / "pkg")
        repository.git("config", "--unset", name)
        assert state.patch == plain.patch, name
        assert state.record == plain.record, name
    for name, value in SETTINGS:
        repository.git("config", name, value)
    repository.git("update-index", "--split-index", "--force-write-index")
    before = repository.fingerprint()
    assert repository.inspect().record == plain.record
    assert repository.fingerprint() == before  # a split index has a second file in the user's directory
    assert snapshot_code(repository.inspect()) == kept
    for name, _ in SETTINGS:
        repository.git("config", "--unset", name)
    assert repository.apply(plain, tmp_path / "again") == plain.record.tree


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GIT_DIR", "/nonexistent"),
        ("GIT_WORK_TREE", "/nonexistent"),
        ("GIT_INDEX_FILE", "/nonexistent/index"),
        ("GIT_OBJECT_DIRECTORY", "/nonexistent"),
        ("GIT_COMMON_DIR", "/nonexistent"),
        ("GIT_NAMESPACE", "other"),
        ("GIT_EXTERNAL_DIFF", "false"),
        ("GIT_DIFF_OPTS", "--unified=0"),
        ("GIT_LITERAL_PATHSPECS", "1"),
        ("GIT_CONFIG_PARAMETERS", "'diff.noprefix=true'"),
        ("GIT_OPTIONAL_LOCKS", "1"),
        ("GIT_TRACE", "1"),
        ("GIT_AUTHOR_NAME", "somebody"),
        ("LC_ALL", "de_DE.UTF-8"),
        ("LANGUAGE", "de"),
        ("TZ", "Asia/Kathmandu"),
    ],
)
def test_variables_that_bend_git(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    change_much(repository)
    plain = snapshot_code(repository.inspect())
    repository.git("update-ref", "-d", plain.snapshot_ref or "")
    monkeypatch.setenv(name, value)
    bent = snapshot_code(repository.inspect())
    assert bent == plain


def test_attributes_that_bend_a_diff(repository: Repository, tmp_path: Path) -> None:
    repository.git("config", "diff.shout.textconv", "tr a-z A-Z <")
    repository.git("config", "diff.other.command", "false")
    repository.write(".gitattributes", "train.py diff=shout\npkg/*.py diff=other\n*.txt -diff\n")
    repository.write("notes.txt", "a\n")
    repository.commit()
    for path in ("train.py", "pkg/model.py", "notes.txt"):
        repository.write(path, "changed\n")
    state = repository.inspect()
    assert b"+changed" in state.patch
    assert repository.apply(state, tmp_path / "again") == state.record.tree


@pytest.mark.parametrize("autocrlf", ["true", "input", "false"])
@pytest.mark.parametrize("safecrlf", ["true", "false"])
def test_line_ends_are_converted_as_the_user_has_it(
    repository: Repository, tmp_path: Path, autocrlf: str, safecrlf: str
) -> None:
    repository.git("config", "core.autocrlf", autocrlf)
    repository.git("config", "core.safecrlf", "false")
    repository.write("dos.py", "a = 1\r\nb = 2\r\n")
    repository.commit()
    repository.git("config", "core.safecrlf", safecrlf)
    repository.write("dos.py", "a = 1\r\nb = 3\r\n")
    repository.write("mixed.py", "a = 1\r\nb = 3\n")
    state = repository.inspect()
    assert [finding.id for finding in state.findings] == ["dirty"]
    repository.git("config", "core.safecrlf", "false")
    assert repository.apply(state, tmp_path / "again") == state.record.tree


def test_no_hook_runs(repository: Repository, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    for name in ("reference-transaction", "post-index-change", "pre-commit", "post-commit", "post-checkout"):
        hook = repository.top / ".git/hooks" / name
        hook.write_text(f"#!/bin/sh\necho {name} >> {trace}\n")
        hook.chmod(0o755)
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\necho monitor >> {trace}\n")
    monitor.chmod(0o755)
    repository.git("config", "core.fsmonitor", str(monitor))
    repository.write("new.py")
    repository.git("status")
    assert "monitor" in trace.read_text()  # it does run where it is not held back
    trace.unlink()
    assert snapshot_code(repository.inspect()).snapshot_ref is not None
    assert not trace.exists()


def test_an_index_that_is_to_be_split(repository: Repository) -> None:
    for number in range(50):
        repository.write(f"pkg/{number}.py")
    repository.commit()
    repository.git("config", "core.splitIndex", "true")
    for number in range(50):
        repository.write(f"pkg/{number}.py", "changed\n")
    before = repository.fingerprint()
    repository.inspect()
    assert repository.fingerprint() == before


def test_a_signed_commit(repository: Repository, tmp_path: Path) -> None:
    gpg = tmp_path / "gpg"
    gpg.write_text(
        "#!/bin/sh\ncat > /dev/null\n[ \"$1\" = --status-fd=2 ] && echo '[GNUPG:] SIG_CREATED ' >&2\n"
        "echo 'gpg: Good signature' >&2\n"
        "echo '-----BEGIN PGP SIGNATURE-----'; echo; echo abc; echo '-----END PGP SIGNATURE-----'\n"
    )
    gpg.chmod(0o755)
    repository.git("config", "gpg.program", str(gpg))
    repository.git("commit", "-q", "--allow-empty", "-S", "-m", "signed")
    repository.git("config", "log.showSignature", "true")
    record = repository.inspect().record
    assert (record.commit_message, record.dirty) == ("signed", False)
    assert record.tree == repository.git("show", "-s", "--no-show-signature", "--format=%T").strip()


def test_filters_decide_what_is_stored(repository: Repository, tmp_path: Path) -> None:
    """As `git add` would: what a filter hides (an encrypted file, notebook outputs) is hidden in a snapshot."""
    repository.git("config", "filter.hide.clean", "sed s/hunter2/HIDDEN/")
    repository.git("config", "filter.hide.smudge", "cat")
    repository.write(".gitattributes", "*.conf filter=hide\n")
    repository.commit()
    repository.write("a.conf", "login = hunter2\n")
    state = repository.inspect()
    assert b"HIDDEN" in state.patch
    assert b"hunter2" not in state.patch
    assert b"hunter2" not in state.pack


def test_git_lfs_pointers_without_git_lfs(repository: Repository, tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 12345\n"
    repository.write(".gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
    repository.write("weights.bin", pointer)
    repository.commit()
    assert repository.inspect().record.dirty is False
    repository.write("weights.bin", pointer.replace("ab", "cd"))
    state = repository.inspect()
    assert state.record.dirty_files == ["weights.bin"]
    assert repository.apply(state, tmp_path / "again") == state.record.tree


def test_a_repository_of_sha256_and_paths_with_odd_characters(tmp_path: Path) -> None:
    top = tmp_path / 'a "quoted": path'
    top.mkdir()
    repository = Repository(top)
    repository.git("init", "-q", "--object-format=sha256")
    repository.write("train.py")
    repository.commit()
    repository.write("train.py", "changed\n")
    (top / "link.py").symlink_to("train.py")
    record = snapshot_code(repository.inspect())
    assert len(record.snapshot or "") == 64
    assert repository.git("show", f"{record.snapshot}:link.py") == "train.py"
    repository.git("rm", "-q", "--cached", "train.py")
    (top / "train.py").unlink()
    assert repository.inspect().record.dirty_files == ["train.py"]


def test_a_temporary_folder_inside_the_repository_is_not_captured(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = repository.top / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    record = repository.inspect().record
    assert record.dirty is False
    assert list(folder.iterdir()) == []


def test_modes_and_links(repository: Repository, tmp_path: Path) -> None:
    script = repository.top / "train.py"
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    (repository.top / "pkg/model.py").unlink()
    (repository.top / "pkg/model.py").symlink_to("../train.py")
    (repository.top / "nowhere").symlink_to("/nonexistent")
    os.mkfifo(repository.top / "pipe")
    state = repository.inspect()
    assert state.record.untracked_files == ["nowhere"]
    assert b"new mode 100755" in state.patch
    assert repository.apply(state, tmp_path / "again") == state.record.tree


def test_a_file_where_a_folder_was_and_the_other_way_round(repository: Repository, tmp_path: Path) -> None:
    (repository.top / "pkg/model.py").unlink()
    (repository.top / "pkg").rmdir()
    repository.write("pkg", "now a file\n")
    (repository.top / "train.py").unlink()
    repository.write("train.py/inner.py", "now a folder\n")
    state = repository.inspect()
    assert [finding.severity for finding in state.findings] == ["harmless"]
    assert repository.apply(state, tmp_path / "again") == state.record.tree


def test_a_folder_replaced_by_a_link_to_it(repository: Repository, tmp_path: Path) -> None:
    (repository.top / "pkg").rename(tmp_path / "pkg")
    (repository.top / "pkg").symlink_to(tmp_path / "pkg")
    state = repository.inspect()
    assert (state.record.dirty_files, state.record.untracked_files) == (["pkg/model.py"], ["pkg"])
    assert repository.apply(state, tmp_path / "again") == state.record.tree


def test_intent_to_add(repository: Repository, tmp_path: Path) -> None:
    repository.write("planned.py")
    repository.git("add", "-N", "planned.py")
    state = repository.inspect()
    assert b"+content" in state.patch
    assert repository.apply(state, tmp_path / "again") == state.record.tree
