"""`repro_hydra.session.spawned`: what is sent ahead to a child, and whose seed it brings."""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from repro_hydra.config import DeterminismConf
from repro_hydra.imports import LateImports
from repro_hydra.session import spawned
from repro_hydra.session.spawned import Inheritance, SpawnedChildren

INHERITANCE = Inheritance(determinism=DeterminismConf(), start="/", seed=3)


@pytest.fixture
def children() -> Iterator[SpawnedChildren]:
    late = LateImports()
    made = SpawnedChildren(INHERITANCE)
    made.install(late.when_imported)
    yield made
    made.remove()


def sent_ahead() -> dict[str, Any]:
    return multiprocessing.spawn.get_preparation_data("a child")


def test_what_is_sent_ahead_enters_the_settings_where_it_is_unpickled(
    children: SpawnedChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each child with a place of its own; what multiprocessing reads of it is as it was."""
    entered: list[Inheritance] = []

    def enter(data: dict[str, Any], inheritance: Inheritance) -> dict[str, Any]:
        entered.append(inheritance)
        return data

    enter.__module__, enter.__qualname__ = spawned.__name__, "enter_child"  # as pickle names it
    monkeypatch.setattr(spawned, "enter_child", enter)
    for _ in range(2):
        sent = sent_ahead()
        del sent["authkey"]  # which is pickled only while a child is being started
        data = pickle.loads(pickle.dumps(sent))
        assert type(data) is dict
        assert data["name"] == "a child"
    assert [inheritance.path for inheritance in entered] == [(1,), (2,)]
    assert children.findings() == []


def test_where_a_child_could_not_import_the_package_it_is_told(
    children: SpawnedChildren, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child starts as it would without us, and the run says that it did."""
    monkeypatch.setattr(spawned, "_is_found_by_new_interpreters", lambda: False)
    assert type(sent_ahead()) is dict
    (told,) = children.findings()
    assert (told.id, told.severity) == ("settings-lost-in-children", "may_change_bits")


def test_it_is_undone(children: SpawnedChildren) -> None:
    children.remove()
    assert type(sent_ahead()) is dict


def test_no_two_children_ranks_or_seeds_share_a_seed() -> None:
    """Nor does one have a seed that a run could have; without a run's seed there is none."""
    seeds = {
        Inheritance(determinism=DeterminismConf(), start="", seed=seed, rank=rank, path=path).own_seed()
        for seed in range(3)
        for rank in range(3)
        for path in ((1,), (2,), (1, 1), ("fork (1,)", 1), (11,))
    }
    assert len(seeds) == 3 * 3 * 5
    assert all(seed is not None and seed >= 2**127 for seed in seeds)
    assert Inheritance(determinism=DeterminismConf(), start="", seed=None, path=(1,)).own_seed() is None


def _tell_path(queue: multiprocessing.Queue[Any]) -> None:
    data: Any = sent_ahead()
    queue.put(data._inheritance.path)


def test_a_forked_child_counts_on_by_the_number_that_multiprocessing_gave_it(
    children: SpawnedChildren,
) -> None:
    """Not by its process id, which no second run would have again."""
    context = multiprocessing.get_context("fork")
    paths = []
    numbers = []
    for _ in range(2):
        queue = context.Queue()
        child = context.Process(target=_tell_path, args=(queue,))
        child.start()
        numbers.append(child._identity)
        paths.append(queue.get(timeout=60))
        child.join()
    assert paths == [(f"fork {number}", 1) for number in numbers]
    assert paths[0] != paths[1]
