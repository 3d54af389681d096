"""Adding, finding, verifying and comparing versions."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repro_hydra.data import (
    DataError,
    DataMisuse,
    Registry,
    StatCache,
    data_add,
    data_diff,
    data_list,
    data_show,
    data_verify,
)
from repro_hydra.data import versions as versions_module
from repro_hydra.data.diff import diff_entries
from repro_hydra.data.digest import Entry
from repro_hydra.data.manifest import decode_manifest, encode_manifest
from repro_hydra.data.scan import scan

CONTENT = st.binary(min_size=32, max_size=32)
PATHS = st.binary(min_size=1, max_size=8).filter(lambda path: b"/" not in path and b"\0" not in path)
FILES = st.builds(Entry, PATHS, st.just("file"), st.integers(0, 2**62), CONTENT, st.booleans())
LINKS = st.builds(
    Entry, PATHS, st.just("symlink"), st.just(0), st.binary(min_size=1, max_size=8), st.just(False)
)
OTHERS = st.builds(
    Entry, PATHS, st.sampled_from(["directory", "fifo", "socket"]), st.just(0), st.just(b""), st.just(False)
)
ENTRIES = st.lists(st.one_of(FILES, LINKS, OTHERS), unique_by=lambda entry: entry.path, max_size=6).map(
    sorted
)


@pytest.fixture
def data(project: Path) -> Path:
    folder = project / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("1")
    (folder / "sub" / "b").write_text("2")
    return folder


def test_of_a_name_the_newest_is_shown(project: Path, data: Path, cache: StatCache) -> None:
    first = data_add(data, "d", project=project, cache=cache)
    (data / "a").write_text("other")
    second = data_add(data, "d", project=project, cache=cache)
    assert data_show("d", project=project) == second
    for reference in (
        first.version,
        first.digest,
        first.digest[:6],
        f"d@{first.version}",
        f"d@{first.digest[:6]}",
    ):
        assert data_show(reference, project=project) == first
    assert data_list(project=project) == [second, first]


@pytest.mark.parametrize("reference", ["e", "d@ffff", "", "@", "d@", "zz"])
def test_what_is_called_by_no_name_is_misuse(
    project: Path, data: Path, cache: StatCache, reference: str
) -> None:
    data_add(data, "d", project=project, cache=cache)
    with pytest.raises(DataMisuse, match="known are: d"):
        data_show(reference, project=project)


def test_a_beginning_that_several_share_is_misuse(project: Path, cache: StatCache) -> None:
    for number in range(17):  # more than hexadecimal digits
        (project / "f").write_text(str(number))
        data_add(project / "f", project=project, cache=cache)
    shared = next(
        d for d in "0123456789abcdef" if sum(v.digest[0] == d for v in data_list(project=project)) > 1
    )
    with pytest.raises(DataMisuse, match="could be any of"):
        data_show(shared, project=project)


def test_unchanged_data_is_ok(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, project=project, cache=cache)
    assert data_verify(project=project, cache=cache).ok
    assert data_verify("data", paranoid=True, project=project, cache=cache).ok


def test_changed_data_is_told_file_by_file(project: Path, data: Path, cache: StatCache) -> None:
    version = data_add(data, project=project, cache=cache)
    (data / "sub" / "b").write_text("3")
    (data / "new").touch()
    (data / "a").rename(data / "z")
    verdict = data_verify(project=project, cache=cache)
    (finding,) = verdict.findings
    assert not verdict.ok
    assert finding.id == "data-changed:data"
    for words in (
        f"expected data@{version.version}",
        "1 changed (sub/b)",
        "1 added (new)",
        "1 renamed (a to z)",
    ):
        assert words in finding.message


def test_an_older_version_is_recognised(project: Path, data: Path, cache: StatCache) -> None:
    first = data_add(data, project=project, cache=cache)
    (data / "a").write_text("other")
    data_add(data, project=project, cache=cache)
    (data / "a").write_text("1")
    (finding,) = data_verify(project=project, cache=cache).findings
    assert f"found {first.version}, which is the version of {first.created_at}" in finding.message


def test_missing_data_is_a_finding_and_the_rest_is_verified(
    project: Path, data: Path, cache: StatCache
) -> None:
    data_add(data / "a", "file", project=project, cache=cache)
    data_add(data / "sub", "sub", project=project, cache=cache)
    (data / "a").unlink()
    (data / "sub" / "b").write_text("3")
    assert [f.id for f in data_verify(project=project, cache=cache).findings] == [
        "data-missing:file",
        "data-changed:sub",
    ]


def test_each_place_of_a_name_is_verified(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data / "a", "d", project=project, cache=cache)
    data_add(data / "sub" / "b", "d", project=project, cache=cache)
    (data / "a").write_text("x")
    (finding,) = data_verify("d", project=project, cache=cache).findings
    assert finding.message.startswith("data/a:")


def test_nothing_registered_is_said(project: Path, cache: StatCache) -> None:
    verdict = data_verify(project=project, cache=cache)
    assert verdict.ok
    assert [f.id for f in verdict.findings] == ["data-none"]


def test_the_options_of_a_version_are_used_when_it_is_verified(
    project: Path, data: Path, cache: StatCache
) -> None:
    data_add(data, ignore=["*.tmp"], executable=False, project=project, cache=cache)
    (data / "x.tmp").touch()
    (data / "a").chmod(0o755)
    assert data_verify(project=project, cache=cache).ok


def test_silent_damage_needs_paranoia(project: Path, data: Path, cache: StatCache) -> None:
    """Times put back by hand and a clock that stood still: the cache is deceived, a full reading is not."""
    data_add(data, project=project, cache=cache)
    time.sleep(2.1)
    assert data_verify(project=project, cache=cache).ok  # not racy any more
    scanned = scan(data, cache=cache)
    assert scanned.files_read == 0
    snapshot = scanned.snapshot
    import msgspec

    (data / "a").write_text("x")
    rows = []
    for row in snapshot.rows():
        status = os.lstat(os.fsencode(data) + b"/" + row[0])
        times = (status.st_mtime_ns, status.st_ctime_ns)
        rows.append((row[0], row[1], row[2], *times, *row[5:]) if row[0] == b"a" else row)
    forged = msgspec.structs.replace(
        snapshot, fingerprint=None, racy_after=2**63 - 1, stored=msgspec.Raw(msgspec.msgpack.encode(rows))
    )
    cache.store(scanned.options.key(os.fsencode(data)), forged)
    assert data_verify(project=project, cache=cache).ok
    cache.store(scanned.options.key(os.fsencode(data)), forged)
    assert not data_verify(paranoid=True, project=project, cache=cache).ok


def test_diff_of_two_versions(project: Path, data: Path, cache: StatCache) -> None:
    first = data_add(data, project=project, cache=cache)
    (data / "a").rename(data / "renamed")
    (data / "sub" / "b").write_text("changed")
    (data / "added").touch()
    (data / "empty").mkdir()
    second = data_add(data, project=project, cache=cache)
    difference = data_diff(first.version, second.version, project=project, cache=cache)
    assert not difference.same
    assert (difference.added, difference.removed, difference.changed) == (["added", "empty/"], [], ["sub/b"])
    assert [(pair.old, pair.new) for pair in difference.renamed] == [("a", "renamed")]
    assert data_diff(first.version, first.version, project=project, cache=cache).same


def test_diff_against_what_lies_there_now(project: Path, data: Path, cache: StatCache) -> None:
    data_add(data, project=project, cache=cache)
    assert data_diff("data", project=project, cache=cache).same
    (data / "a").unlink()
    assert data_diff("data", project=project, cache=cache).removed == ["a"]


def test_a_clone_has_what_diff_needs(project: Path, data: Path, cache: StatCache, tmp_path: Path) -> None:
    first = data_add(data, project=project, cache=cache)
    (data / "a").write_text("x")
    data_add(data, project=project, cache=cache)
    clone = tmp_path / "clone"
    clone.mkdir()
    Registry(project).folder.rename(Registry(clone).folder)
    empty = StatCache(tmp_path / "other-cache")
    assert data_diff(first.version, "data", project=clone, cache=empty).changed == ["a"]


def test_without_a_manifest_diff_says_where_to_get_it(project: Path, data: Path, cache: StatCache) -> None:
    version = data_add(data, project=project, cache=cache)
    Registry(project).manifest(version.digest).unlink()
    with pytest.raises(DataError, match="run: repro-hydra data add data --name data"):
        data_diff("data", project=project, cache=cache)
    (data / "a").write_text("x")
    assert not data_verify(project=project, cache=cache).ok  # without naming files


def test_a_large_manifest_stays_out_of_the_project(
    project: Path, data: Path, cache: StatCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(versions_module, "MANIFEST_TO_COMMIT_BYTES", 100)
    version = data_add(data, project=project, cache=cache)
    assert not Registry(project).manifest(version.digest).exists()
    assert data_diff("data", project=project, cache=cache).same


@given(ENTRIES)
def test_a_manifest_reads_back_equal(entries: list[Entry]) -> None:
    from repro_hydra.data.digest import digest_tree

    digest = digest_tree(entries).hex()
    text = encode_manifest(digest, "directory", entries)
    assert decode_manifest(Path("m"), text, digest) == entries


def test_a_damaged_manifest_is_noticed(project: Path, data: Path, cache: StatCache) -> None:
    version = data_add(data, project=project, cache=cache)
    file = Registry(project).manifest(version.digest)
    whole = file.read_bytes()
    for damaged in (
        b"",
        whole[: len(whole) // 2],
        whole.rsplit(b"\n", 2)[0] + b"\n",
        whole.replace(b'"size_bytes":1', b'"size_bytes":2', 1),
        whole.replace(b'"1.0"', b'"9.0"'),
        b"<<<<<<< HEAD\n" + whole,
    ):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=version.digest):
            data_diff("data", project=project, cache=cache)


@given(ENTRIES, ENTRIES)
def test_a_diff_accounts_for_every_file(before: list[Entry], after: list[Entry]) -> None:
    difference = diff_entries("a", "b", before, after)
    assert difference.same == (before == after)
    if difference.same:
        nothing: list[str] = []
        assert difference.added == difference.removed == difference.changed == difference.renamed == nothing
    old, new = {e.path for e in before}, {e.path for e in after}
    assert len(difference.added) + len(difference.renamed) == len(new - old)
    assert len(difference.removed) + len(difference.renamed) == len(old - new)
    assert len(difference.changed) == len({e.path for e in set(after) - set(before)} & old)
    backwards = diff_entries("b", "a", after, before)
    assert backwards.added == difference.removed
    assert {(p.new, p.old) for p in backwards.renamed} == {(p.old, p.new) for p in difference.renamed}


def test_equal_empty_files_are_not_taken_for_renamed() -> None:
    one, other = (Entry(name, "file", 0, bytes(32)) for name in (b"a", b"b"))
    difference = diff_entries("", "", [one], [other])
    assert (difference.added, difference.removed, difference.renamed) == (["b"], ["a"], [])
