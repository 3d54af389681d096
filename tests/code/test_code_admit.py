"""What is never captured, and what is passed over in silence."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from code_repository import Repository

from repro_hydra.code import snapshot_code
from repro_hydra.code.admit import is_environment_file, refusal
from repro_hydra.code.environment_files import environment_files

TOKEN = "ghp_" + "a1B2" * 9  # in two pieces, so that this file is none of those it tests


@pytest.mark.parametrize(
    "name",
    [
        ".env", ".env.local", "prod.env", ".envrc", "server.pem", "id_rsa", "id_ed25519", "credentials",
        "credentials.json", "credentials-prod.yaml", "client_secret_42.json", "secrets.yaml",
        ".netrc", ".pypirc", "x.p12", "kaggle.json",
        "service-account.json", "tls.key", "Credentials.JSON",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("harmless\n")
    assert "secrets are never captured" in (refusal(name.encode(), bytes(tmp_path / name), 10**6) or "")


@pytest.mark.parametrize(
    "name",
    [
        "credentials.py", "secrets.py", "test_credentials.py", ".env.example", ".env.sample", "env.py", "keys.py",
        "environment.yml", "credentials_test.py", "id_rsa.pub", "secret_santa.py", "monkey.py", "tokenizer.json",
    ],
)  # fmt: skip
def test_names_that_only_sound_like_one(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("harmless\n")
    assert refusal(name.encode(), bytes(tmp_path / name), 10**6) is None


def test_a_secret_is_in_neither_patch_nor_snapshot(repository: Repository) -> None:
    repository.write("notes.txt", "nothing yet\n")
    repository.commit()
    repository.write("notes.txt", f"my token: {TOKEN}\n")  # tracked and modified
    repository.write("config/staged.yaml", f"token: {TOKEN}\n")
    repository.git("add", "config")
    repository.write("new.py", f"TOKEN = '{TOKEN}'\n")
    repository.write("id_rsa", "key\n")
    repository.write("ok.py")
    state = repository.inspect()
    record = snapshot_code(state)
    assert TOKEN.encode() not in state.patch
    assert repository.git("show", f"{record.snapshot}:notes.txt") == "nothing yet\n"
    listed = repository.git("ls-tree", "-r", "--name-only", record.snapshot or "").split()
    assert listed == ["notes.txt", "ok.py", "pkg/model.py", "train.py"]
    assert sorted(record.not_captured) == ["config/staged.yaml", "id_rsa", "new.py", "notes.txt"]
    assert "line 1 looks like a GitHub token" in record.not_captured["new.py"]
    assert {finding.id: finding.severity for finding in state.findings} == {
        "code-not-captured:config/staged.yaml": "blocks",
        "code-not-captured:id_rsa": "blocks",
        "code-not-captured:new.py": "blocks",
        "code-not-captured:notes.txt": "blocks",
        "dirty": "harmless",
    }
    assert not any("Commit it" in finding.message for finding in state.findings)  # no advice for a key
    assert (record.dirty_files, record.untracked_files) == (
        ["config/staged.yaml", "notes.txt"],
        ["id_rsa", "new.py", "ok.py"],
    )
    for kind in repository.git("cat-file", "--batch-all-objects", "--batch-check").splitlines():
        name = kind.split()[0]
        if name != repository.git("rev-parse", ":config/staged.yaml").strip():  # put there by the user
            assert TOKEN not in repository.git_bytes("cat-file", "-p", name).decode(errors="replace")


def test_a_secret_that_is_committed_already_is_no_matter(repository: Repository) -> None:
    repository.write("server.pem", "key\n")
    repository.commit()
    assert repository.inspect().findings == ()


def test_a_secret_that_is_taken_out_of_git_is_out_of_the_snapshot(repository: Repository) -> None:
    repository.write("server.pem", "key\n")
    repository.commit()
    repository.git("rm", "-q", "--cached", "server.pem")
    record = snapshot_code(repository.inspect())
    assert record.not_captured.keys() == {"server.pem"}
    assert "server.pem" not in repository.git("ls-tree", "-r", record.snapshot or "")


def test_an_environment_file_blocks_nothing(repository: Repository) -> None:
    repository.write(".env", "TOKEN=hunter2\n")
    state = repository.inspect()
    assert [(finding.id, finding.severity) for finding in state.findings] == [
        ("code-not-captured:.env", "harmless")
    ]
    assert state.record.not_captured.keys() == {".env"}
    assert state.record.tree == repository.git("rev-parse", "HEAD^{tree}").strip()
    assert state.record.dirty is True
    assert is_environment_file(b"deploy/.env.local")


def test_an_environment_file_is_known_again(repository: Repository) -> None:
    """By names and a keyed digest, also where git ignores it; its values are nowhere."""
    repository.write(".gitignore", ".env\n")
    repository.write(".env", "# comment\nexport TOKEN=hunter2\n  URL = x\nnot a line\n")
    folder = repository.top / "pkg"
    (known,) = environment_files(repository.top, [folder, repository.top], b"k" * 32)
    assert (known.path, known.variables) == (".env", ["TOKEN", "URL"])
    assert "hunter2" not in str(known)
    other = environment_files(repository.top, [], b"l" * 32)
    assert other[0].keyed_digest != known.keyed_digest
    assert environment_files(repository.top, [], None)[0].keyed_digest is None
    assert environment_files(repository.top, [], b"k" * 32) == [known]
    repository.write(".env", "TOKEN=hunter3\n")
    assert environment_files(repository.top, [], b"k" * 32)[0].keyed_digest != known.keyed_digest


def test_caps(repository: Repository) -> None:
    repository.write("train.py", "x" * 2000)
    repository.write("weights.bin", b"\0" * 2000)
    repository.write("small.py", "x" * 100)
    state = repository.inspect(max_file_bytes=1000)
    assert "code.max_file_bytes=1,000" in state.record.not_captured["train.py"]
    assert state.record.not_captured.keys() == {"train.py", "weights.bin"}
    assert state.record.dirty_files == ["train.py"]
    assert b"small.py" in state.patch
    assert b"train.py" not in state.patch


def test_an_untracked_folder_of_data_is_named_as_a_whole(repository: Repository) -> None:
    for number in range(40):
        repository.write(f"data/{number}.txt", str(number) * 1000)
    repository.write("new.py")
    state = repository.inspect(max_patch_bytes=20_000)
    assert list(state.record.not_captured) == ["data/"]
    assert "code.max_patch_bytes=20,000" in state.record.not_captured["data/"]
    assert state.record.untracked_files == ["data/", "new.py"]
    assert [finding.id for finding in state.findings] == ["code-not-captured:data/", "dirty"]


def test_many_left_out_files_of_a_folder_are_named_together(repository: Repository) -> None:
    for number in range(30):
        repository.write(f"weights/{number}.pt", b"\0" * 2000)
    repository.write("weights/load.py")
    state = repository.inspect(max_file_bytes=1000)
    assert list(state.record.not_captured) == ["weights/"]
    assert "has 30 files that were left out" in state.record.not_captured["weights/"]
    assert b"weights/load.py" in state.patch


def test_a_patch_above_the_cap_is_not_kept_and_the_snapshot_is(repository: Repository) -> None:
    repository.write("big.txt", "".join(f"{number}\n" for number in range(5000)))
    repository.commit()
    (repository.top / "big.txt").unlink()
    state = repository.inspect(max_patch_bytes=5000)
    assert (state.patch, state.record.patch) == (b"", None)
    assert [finding.id for finding in state.findings] == ["code-not-captured:code.patch", "dirty"]
    assert "big.txt" not in repository.git("ls-tree", "-r", snapshot_code(state).snapshot or "")


def test_folders_of_runs_environments_and_caches_are_no_code(repository: Repository) -> None:
    repository.write("outputs/2026-11-23/10-00-00/.hydra/config.yaml")
    repository.write("outputs/2026-11-23/10-00-00/train.log")
    repository.write("multirun/2026-11-23/10-00-00/.repro/sweep.json")
    repository.write("multirun/2026-11-23/10-00-00/0/train.log")
    repository.write("pkg/__pycache__/model.cpython-311.pyc")
    repository.write("env/pyvenv.cfg")
    repository.write("env/lib/x.py")
    repository.write("run/now/train.log")
    repository.write(".hydra/config.yaml")  # hydra.run.dir=.
    repository.write(".repro/run.json")
    repository.write("new/__pycache__/a.pyc")
    state = repository.inspect(exclude=[repository.top / "run/now"])
    assert state.findings == ()
    assert state.record.dirty is False
    repository.write("new/a.py")
    assert repository.inspect(exclude=[repository.top / "run"]).record.untracked_files == ["new/a.py"]


def test_a_run_in_the_top_of_the_repository_hides_no_code(repository: Repository) -> None:
    repository.write(".hydra/config.yaml")
    repository.write("new.py")
    assert repository.inspect(exclude=[repository.top]).record.untracked_files == ["new.py"]


def test_the_interpreter_inside_the_repository_is_no_code(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository.write("conda/lib/python3.11/os.py")
    monkeypatch.setattr(sys, "prefix", str(repository.top / "conda"))
    assert repository.inspect().record.dirty is False


def test_ignored_folders_are_not_entered(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.write(".gitignore", "data/\n")
    repository.commit()
    repository.write("new/a.py")
    repository.write("new/data/deep/0.bin")
    entered: list[object] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (entered.append(path), real(path))[1])
    repository.inspect()
    assert bytes(repository.top / "new") in entered
    assert bytes(repository.top / "new/data") not in entered


def test_what_git_ignores_below_an_untracked_folder_stays_out(repository: Repository) -> None:
    repository.write(".gitignore", "*.log\ncache/\n")
    repository.commit()
    repository.write("new/a.py")
    repository.write("new/deep/b.py")
    repository.write("new/deep/x.log")
    repository.write("new/cache/y.py")
    repository.write("new/deep/.gitignore", "z.py\n")
    repository.write("new/deep/z.py")
    assert repository.inspect().record.untracked_files == ["new/a.py", "new/deep/.gitignore", "new/deep/b.py"]


def test_a_repository_inside_the_repository_is_named(repository: Repository) -> None:
    inner = repository.top / "third_party/lib"
    inner.mkdir(parents=True)
    Repository(inner).git("init", "-q")
    repository.write("third_party/lib/a.py")
    repository.write("third_party/b.py")
    state = repository.inspect()
    assert state.record.not_captured.keys() == {"third_party/lib/"}
    assert state.record.untracked_files == ["third_party/b.py", "third_party/lib/"]


def test_the_files_of_runs_are_not_walked(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    """One look into each run's folder, however much lies in it: 50,000 files take as long as these."""
    for number in range(20):
        repository.write(f"outputs/day/{number}/.hydra/config.yaml")
        for file in range(20):
            repository.write(f"outputs/day/{number}/checkpoints/{file}.pt")
    entered: list[object] = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: (entered.append(path), real(path))[1])
    state = repository.inspect()
    assert state.record.dirty is False
    below = [path for path in entered if isinstance(path, bytes)]
    assert len(below) == 2 + 20
    assert not any(b"checkpoints" in path for path in below)
