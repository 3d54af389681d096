"""Versions of DVC, git-annex and Hugging Face: taken over, checked by their own means, and not hashed again."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from repro_hydra.data import DataError, StatCache, capture_data, changed_meanwhile, data_add
from repro_hydra.data import dvc as dvc_module
from repro_hydra.data.annex import key_of
from repro_hydra.data.takeover import taken_over
from repro_hydra.record.data import DatasetRecord
from repro_hydra.session.declared import Declared

OLD_NS = 10**18
"""Long ago, so that nothing is racy."""


def age(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, ns=(OLD_NS, OLD_NS), follow_symlinks=False)


def captured(project: Path, path: str, cache: StatCache) -> tuple[DatasetRecord, list[str]]:
    record, findings = capture_data({"d": path}, base=project, project=project, cache=cache)
    return (record.datasets[0] if record.datasets else None), [finding.id for finding in findings]


# ---------------------------------------------------------------------- DVC; the files are what DVC 3.67.1 wrote


@pytest.fixture
def dvc(project: Path) -> Path:
    """Two outputs of ``dvc add`` and one of ``dvc repro``, with names beyond ASCII and Windows line ends."""
    (project / ".dvc").mkdir()
    (project / "data/img/sub").mkdir(parents=True)
    (project / "out").mkdir()
    (project / "data/img/a").write_text("a\n")
    (project / "data/img/sub/é b").write_bytes(b"x\r\ny\r\n")
    (project / "data/one.csv").write_text("1\n")
    (project / "out/z").write_text("5\n")
    (project / "data/img.dvc").write_text(
        "outs:\n- md5: 86f17bf975718313ee0a64fb1069d088.dir\n  size: 8\n  nfiles: 2\n  hash: md5\n  path: img\n"
    )
    (project / "data/one.csv.dvc").write_text(
        "outs:\n- md5: b026324c6904b2a9cb4b88d6d61c81d1\n  size: 2\n  hash: md5\n  path: one.csv\n"
    )
    (project / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  prep:\n    cmd: mkdir -p out && echo 5 > out/z\n    outs:\n    - path: out\n"
        "      hash: md5\n      md5: d903bf802f73f94a12649256d74e49c5.dir\n      size: 2\n      nfiles: 1\n"
    )
    return project


@pytest.mark.parametrize(
    ("path", "md5", "files"),
    [
        ("data/img", "86f17bf975718313ee0a64fb1069d088.dir", 2),
        ("data/one.csv", "b026324c6904b2a9cb4b88d6d61c81d1", 1),
        ("out", "d903bf802f73f94a12649256d74e49c5.dir", 1),
    ],
)
def test_what_dvc_tracks_has_dvcs_version(
    dvc: Path, cache: StatCache, path: str, md5: str, files: int
) -> None:
    record, findings = captured(dvc, path, cache)
    assert (record.system, record.version, record.files, findings) == ("dvc", md5, files, [])
    assert record.digest == f"dvc:{md5}"


def test_a_folder_may_be_written_with_a_slash_after_it(dvc: Path, cache: StatCache) -> None:
    for file, name in ((dvc / "dvc.lock", "out"), (dvc / "data/img.dvc", "img")):
        text = file.read_text()
        assert f"path: {name}\n" in text
        file.write_text(text.replace(f"path: {name}\n", f"path: {name}/\n"))
    systems = [captured(dvc, path, cache)[0].system for path in ("out", "data/img")]
    assert systems == ["dvc", "dvc"]


def test_data_that_is_not_what_dvc_says_blocks(dvc: Path, cache: StatCache) -> None:
    """The guard barks at a byte, an added file and a missing one, and is quiet again when they are back."""
    file = dvc / "data/img/a"
    for spoil, mend in (
        (lambda: file.write_text("b\n"), lambda: file.write_text("a\n")),
        ((dvc / "data/img/more").touch, (dvc / "data/img/more").unlink),
        (file.unlink, lambda: file.write_text("a\n")),
    ):
        spoil()
        assert captured(dvc, "data/img", cache)[1] == ["data-changed:d"]
        mend()
        assert captured(dvc, "data/img", cache)[1] == []


def test_data_is_checked_once_and_not_read_again(
    dvc: Path, cache: StatCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until somebody writes to it; ``paranoid`` reads it all the same."""
    age(dvc / "data")
    later = {"clock": lambda: 2**62}
    taken_over(dvc / "data/img", cache=cache, **later)
    monkeypatch.setattr(dvc_module, "_md5", lambda *_: "another")
    assert taken_over(dvc / "data/img", cache=cache, **later) is not None
    with pytest.raises(DataError, match="found another"):
        taken_over(dvc / "data/img", cache=cache, paranoid=True, **later)
    (dvc / "data/img/a").write_text("a\n")
    with pytest.raises(DataError, match="dvc checkout"):
        taken_over(dvc / "data/img", cache=cache, **later)


def test_dvc_itself_is_asked_where_it_is(
    dvc: Path, tmp_path: Path, cache: StatCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its ``status`` goes by the times it keeps. (A stand-in for the command, which brings a hundred packages.)"""
    program = tmp_path / "bin/dvc"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$PWD $*" >> {tmp_path}/asked\ntest ! -e {tmp_path}/differs\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(dvc_module, "_md5", lambda *_: "another")
    assert taken_over(dvc / "data/img", cache=None) is not None
    assert (tmp_path / "asked").read_text() == f"{dvc}/data status --quiet img.dvc\n"
    (tmp_path / "differs").touch()
    with pytest.raises(DataError, match="found another"):
        taken_over(dvc / "data/img", cache=None)


def test_files_before_dvc_3_have_unix_line_ends(project: Path) -> None:
    (project / "t.txt").write_bytes(b"x\r\n")
    (project / "b.bin").write_bytes(b"\0\r\n")
    for name, content in (("t.txt", b"x\n"), ("b.bin", b"\0\r\n")):
        md5 = hashlib.md5(content).hexdigest()
        (project / f"{name}.dvc").write_text(f"outs:\n- md5: {md5}\n  path: {name}\n")
        assert taken_over(project / name, cache=None) is not None


def test_what_dvc_ignores_is_no_part_of_it(dvc: Path, cache: StatCache) -> None:
    (dvc / ".dvcignore").write_text("# a comment\n*.tmp\ncache/\n")
    (dvc / "data/img/x.tmp").touch()
    (dvc / "data/img/cache").mkdir()
    (dvc / "data/img/cache/x").touch()
    assert captured(dvc, "data/img", cache)[1] == []


@pytest.mark.parametrize("text", ["outs: [", "- a list", "\xff\xfe", "outs:\n  - 3"])
def test_a_file_that_is_none_of_dvcs(dvc: Path, cache: StatCache, text: str) -> None:
    """Said, or passed over and hashed as any other data; never a traceback."""
    (dvc / "data/img.dvc").write_text(text, encoding="latin-1")
    record, findings = captured(dvc, "data/img", cache)
    assert findings == ["data-unreadable:d"] or record.system is None


def test_the_projects_own_registry_comes_first(dvc: Path, cache: StatCache) -> None:
    data_add(dvc / "data/img", "d", project=dvc, cache=cache)
    record, findings = captured(dvc, "data/img", cache)
    assert (record.system, record.registered, findings) == (None, True, [])


def test_a_change_during_the_run_is_noticed(dvc: Path, cache: StatCache) -> None:
    record, _ = capture_data({"d": "data/img"}, base=dvc, project=dvc, cache=cache)
    assert changed_meanwhile(record, base=dvc, cache=cache) == []
    (dvc / "data/img/a").write_text("b\n")
    (finding,) = changed_meanwhile(record, base=dvc, cache=cache)
    assert finding.id == "data-changed-meanwhile:d"
    assert "86f17bf975718313ee0a64fb1069d088.dir" in finding.message


# ---------------------------------------------------------------------- git-annex


def annexed(project: Path, path: str, content: bytes) -> Path:
    """A locked file as git-annex lays it out (https://git-annex.branchable.com/internals/)."""
    key = f"SHA256E-s{len(content)}--{hashlib.sha256(content).hexdigest()}{Path(path).suffix}"
    stored = project / ".git/annex/objects/Xx/9k" / key / key
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_bytes(content)
    stored.chmod(0o444)
    link = project / path
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(stored, link.parent))
    return stored


def test_a_folder_of_annexed_files_is_known_by_their_keys(project: Path, cache: StatCache) -> None:
    """No exception for links that lead out, no reading; a content that is not here is said with the command."""
    stored = annexed(project, "set/a.png", b"12345")
    annexed(project, "set/sub/b.png", b"123")
    (project / "set/README").write_text("x")
    record, findings = captured(project, "set", cache)
    assert (record.system, record.files, record.size_bytes, findings) == ("git-annex", 3, 9, [])
    before = record.digest
    stored.chmod(0o644)
    stored.write_bytes(b"1234")
    assert captured(project, "set", cache)[1] == ["data-changed:d"]
    stored.unlink()
    with pytest.raises(DataError, match="git annex get"):
        taken_over(project / "set/a.png", cache=cache)
    (project / "set/a.png").unlink()
    annexed(project, "set/a.png", b"54321")
    assert captured(project, "set", cache)[0].digest != before


def test_one_annexed_file_has_its_key_for_a_version(project: Path, cache: StatCache) -> None:
    stored = annexed(project, "a.csv", b"12345")
    record, _ = captured(project, "a.csv", cache)
    assert record.version == stored.name
    stored.chmod(0o644)
    stored.write_bytes(b"54321")
    assert (
        taken_over(project / "a.csv", cache=cache) is not None
    )  # of the same size: git-annex keeps it read-only
    with pytest.raises(DataError, match="git annex fsck"):
        taken_over(project / "a.csv", cache=cache, paranoid=True)


def test_keys_that_say_nothing_of_the_content() -> None:
    place = b"../.git/annex/objects/aa/bb"
    assert key_of(place + b"/WORM-s3-m1--x/WORM-s3-m1--x") is None
    assert key_of(place + b"/URL--http&c%%x/URL--http&c%%x") is None
    assert key_of(b"../elsewhere/SHA256-s3--ab") is None
    assert key_of(place + b"/MD5E-s3--ab.tar.gz/MD5E-s3--ab.tar.gz") == ("MD5E-s3--ab.tar.gz", 3, "md5", "ab")


# ---------------------------------------------------------------------- Hugging Face


@pytest.fixture
def snapshot(project: Path) -> Path:
    """The hub's cache: a large file by SHA-256, a small one by its git blob id."""
    top = project / "hub/datasets--org--name"
    folder = top / "snapshots" / ("a" * 40)
    (top / "blobs").mkdir(parents=True)
    (folder / "data").mkdir(parents=True)
    for name, content, large in (("data/x.parquet", b"rows", True), ("README.md", b"text", False)):
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        blob = top / "blobs" / (hashlib.sha256(content).hexdigest() if large else git)
        blob.write_bytes(content)
        (folder / name).symlink_to(os.path.relpath(blob, (folder / name).parent))
    return folder


def test_a_snapshot_of_the_hub_has_its_commit(project: Path, snapshot: Path, cache: StatCache) -> None:
    path = str(snapshot.relative_to(project))
    record, findings = captured(project, path, cache)
    assert (record.system, record.version) == ("huggingface-hub", f"datasets/org/name@{'a' * 40}")
    assert (record.files, record.size_bytes, findings) == (2, 8, [])
    (snapshot / "README.md").resolve().write_bytes(b"TEXT")
    assert captured(project, path, cache)[1] == ["data-changed:d"]
    (snapshot / "README.md").unlink()
    (snapshot / "README.md").write_text("no link")
    assert captured(project, path, cache)[1] == ["data-changed:d"]


def test_what_datasets_saved_has_its_fingerprint(project: Path, cache: StatCache) -> None:
    for split in ("train", "test"):
        folder = project / "saved" / split
        folder.mkdir(parents=True)
        (folder / "data-00000-of-00001.arrow").write_bytes(b"rows")
        state = {"_fingerprint": f"f{split}", "_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
        (folder / "state.json").write_text(json.dumps(state))
    (project / "saved/dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert captured(project, "saved", cache)[0].version == "test:ftest+train:ftrain"
    record, _ = captured(project, "saved/train", cache)
    assert (record.system, record.version) == ("huggingface-datasets", "ftrain")
    whole, _ = capture_data({"d": "saved"}, base=project, project=project, cache=cache)
    (project / "saved/train/cache-1f.arrow").write_bytes(b"what a `map` leaves there")
    assert changed_meanwhile(whole, base=project, cache=cache) == []
    assert not Declared(whole, project, None).holds(str(project / "saved/train/cache-1f.arrow"))
    (project / "saved/train/data-00000-of-00001.arrow").write_bytes(
        b"rowz"
    )  # the fingerprint knows nothing of it
    (finding,) = changed_meanwhile(whole, base=project, cache=cache)
    assert finding.id == "data-changed-meanwhile:d"
    assert f"expected {whole.datasets[0].digest}, as when" in finding.message
    (project / "saved/train/data-00000-of-00001.arrow").unlink()
    assert captured(project, "saved", cache)[1] == ["data-changed:d"]
    (project / "saved/train/state.json").write_text("{")
    assert captured(project, "saved/train", cache)[0].system is None


def test_data_of_nobody_else_is_hashed(project: Path, cache: StatCache) -> None:
    (project / "plain").mkdir()
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    record, _ = captured(project, "plain", cache)
    assert (record.system, len(record.digest)) == (None, 64)
