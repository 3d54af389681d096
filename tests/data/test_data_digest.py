"""The digest keeps to its definition (docs/data-digest.md), whatever the directory holds."""

# ruff: noqa: PTH101, PTH103, PTH123, PTH211 (names are bytes here)
from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from repro_hydra.data import Options, StatCache, scan
from repro_hydra.data.digest import Entry, digest_tree

DOCS = Path(__file__).parents[2] / "docs" / "data-digest.md"

# A tree is {name: node}; a node is ("f", content, executable), ("l", target), ("p",) or ("d", tree).
Tree = dict[bytes, Any]
NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
LEAVES = st.one_of(
    st.tuples(st.just("f"), st.binary(max_size=40), st.booleans()),
    st.tuples(st.just("l"), st.binary(min_size=1, max_size=20).filter(lambda target: b"\0" not in target)),
    st.tuples(st.just("p")),
)
NODES = st.recursive(
    LEAVES,
    lambda nodes: st.tuples(st.just("d"), st.dictionaries(NAMES, nodes, max_size=4)),
    max_leaves=8,
)
TREES = st.dictionaries(NAMES, NODES, max_size=5)


def build(tree: Tree, where: bytes, *, backwards: bool = False, mtime: int | None = None) -> None:
    os.makedirs(where, exist_ok=True)
    for name, node in sorted(tree.items(), reverse=backwards):
        path = where + b"/" + name
        if node[0] == "f":
            with open(path, "wb") as stream:
                stream.write(node[1])
            os.chmod(path, 0o755 if node[2] else 0o644)
            if mtime is not None:
                os.utime(path, (mtime, mtime))
        elif node[0] == "l":
            os.symlink(node[1], path)
        elif node[0] == "p":
            os.mkfifo(path)
        else:
            build(node[1], path, backwards=backwards, mtime=mtime)


def number(value: int) -> bytes:
    return value.to_bytes(8, "big")


def defined_entries(tree: Tree, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """The definition, written a second time."""
    for name, node in tree.items():
        path = prefix + name
        head = number(len(path)) + path
        if node[0] == "f":
            letter = b"x" if node[2] else b"f"
            yield path, letter + head + number(len(node[1])) + blake3(node[1]).digest()
        elif node[0] == "l":
            yield path, b"l" + head + number(len(node[1])) + node[1]
        elif node[0] == "p":
            yield path, b"p" + head
        else:
            yield path, b"d" + head
            yield from defined_entries(node[1], path + b"/")


def defined_digest(tree: Tree) -> str:
    together = b"".join(entry for _, entry in sorted(defined_entries(tree)))
    return blake3(together, derive_key_context="repro-hydra data tree v1").hexdigest()


@settings(deadline=None, max_examples=50)
@given(TREES)
@example({b"caf\xe9\n": ("f", b"", True), b"a": ("d", {}), b"a.b": ("f", b"x", False), b"l": ("l", b"l")})
def test_digest_is_the_one_that_is_defined(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as folder:
        build(tree, os.fsencode(folder) + b"/data")
        assert scan(Path(folder, "data")).digest == defined_digest(tree)


@settings(deadline=None, max_examples=50)
@given(TREES, TREES)
def test_two_directories_have_one_digest_if_and_only_if_they_hold_the_same(one: Tree, other: Tree) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, tree in (("one", one), ("other", other)):
            build(tree, os.fsencode(folder) + b"/" + name.encode())
        same = scan(Path(folder, "one")).digest == scan(Path(folder, "other")).digest
        assert same == (one == other)


@settings(deadline=None, max_examples=25)
@given(TREES)
def test_order_place_and_times_are_no_part_of_it(tree: Tree) -> None:
    with tempfile.TemporaryDirectory() as folder:
        build(tree, os.fsencode(folder) + b"/a", mtime=1_000_000_000)
        build(tree, os.fsencode(folder) + b"/deep/er/b", backwards=True, mtime=1_500_000_000)
        assert scan(Path(folder, "a")).digest == scan(Path(folder, "deep/er/b")).digest


@settings(deadline=None, max_examples=25)
@given(TREES, TREES)
def test_a_later_look_through_the_cache_gives_what_a_first_look_gives(before: Tree, after: Tree) -> None:
    """Whatever became of the directory in between: the cache must not show."""
    with tempfile.TemporaryDirectory() as folder:
        data, cache = Path(folder, "data"), StatCache(Path(folder, "cache"))
        build(before, os.fsencode(data))
        assert scan(data, cache=cache).digest == defined_digest(before)
        subprocess.run(["rm", "-rf", data], check=True)
        build(after, os.fsencode(data))
        assert scan(data, cache=cache).digest == defined_digest(after)


@given(st.lists(st.tuples(NAMES, st.binary(min_size=32, max_size=32)), unique_by=lambda pair: pair[0]))
def test_entries_may_come_in_any_order(pairs: list[tuple[bytes, bytes]]) -> None:
    entries = [Entry(name, "file", 3, content) for name, content in pairs]
    assert digest_tree(entries) == digest_tree(reversed(entries))


def test_moving_a_byte_from_one_name_to_the_next_is_seen(tmp_path: Path) -> None:
    """What a digest without lengths gets wrong."""
    for name, files in (("a", ["ab", "c"]), ("b", ["a", "bc"])):
        (tmp_path / name).mkdir()
        for file in files:
            (tmp_path / name / file).touch()
    assert scan(tmp_path / "a").digest != scan(tmp_path / "b").digest


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, (1 << 20) + 1, (5 << 20) + 3])
def test_a_file_has_the_digest_that_b3sum_prints(tmp_path: Path, size: int) -> None:
    """Each way of reading is used at one of these sizes, alone and inside a directory."""
    content = os.urandom(size)
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(content)
    expected = blake3(content).hexdigest()
    assert scan(tmp_path / "d" / "f").digest == expected
    (entry,) = scan(tmp_path / "d").entries()
    assert entry.content.hex() == expected


def test_a_file_can_not_pass_for_a_directory(tmp_path: Path) -> None:
    """A file that holds exactly the bytes that a directory's digest is made of has another digest."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"x")
    forged = tmp_path / "forged"
    forged.write_bytes(b"".join(e for _, e in defined_entries({b"f": ("f", b"x", False)})))
    assert scan(forged).digest != scan(tmp_path / "d").digest


def test_executable_bits_count_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    plain, plain_off = scan(tmp_path).digest, scan(tmp_path, Options(executable=False)).digest
    (tmp_path / "f").chmod(0o755)
    assert scan(tmp_path).digest != plain
    assert scan(tmp_path, Options(executable=False)).digest == plain_off == plain


def test_other_permission_bits_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    before = scan(tmp_path).digest
    (tmp_path / "f").chmod(0o600)
    assert scan(tmp_path).digest == before


def test_what_is_ignored_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    build({b"a": ("f", b"1", False)}, os.fsencode(tmp_path / "clean"))
    build(
        {
            b"a": ("f", b"1", False),
            b"x.tmp": ("f", b"2", False),
            b"cache": ("d", {b"deep": ("d", {b"f": ("f", b"3", False)})}),
        },
        os.fsencode(tmp_path / "littered"),
    )
    assert (
        scan(tmp_path / "littered", Options(ignore=("*.tmp", "cache/"))).digest
        == scan(tmp_path / "clean").digest
    )


def test_the_locale_is_no_part_of_it(tmp_path: Path) -> None:
    tree: Tree = {"é".encode(): ("f", b"1", False), b"\xff\n": ("f", b"2", False)}
    build(tree, os.fsencode(tmp_path / "data"))
    code = "import sys; from pathlib import Path; from repro_hydra.data import scan; print(scan(Path('data')).digest)"
    for locale in ("C", "C.UTF-8"):
        environment = {**os.environ, "LC_ALL": locale, "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
        environment["PYTHONPATH"] = str(DOCS.parents[1])
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == defined_digest(tree)


def test_the_program_in_the_docs_gives_this_digest(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    tree: Tree = {b"a": ("d", {b"b": ("f", b"1", True)}), b"empty": ("d", {}), b"\xff": ("f", b"", False)}
    build(tree, os.fsencode(tmp_path / "data"))
    assert names["digest_of_directory"](os.fsencode(tmp_path / "data")) == scan(tmp_path / "data").digest
