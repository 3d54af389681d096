"""Sets of checkpoints, one part for each rank: whole or passed over by name."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from repro_hydra.checkpoint.errors import CheckpointError, OtherVersion
from repro_hydra.checkpoint.file import FORMAT, Header, read_checkpoint
from repro_hydra.checkpoint.position import Position
from repro_hydra.checkpoint.rank_sets import (
    OtherWorld,
    RankShelf,
    clean,
    highest_number,
    newest_of_either,
    newest_set,
    refuse_other_world,
    sets_in,
)
from repro_hydra.checkpoint.shelf import Shelf

WORLD = 3


def shelves(place: Path, *, attempt: str = "a" * 8, number: int = 0, keep: int = 2) -> list[RankShelf]:
    return [
        RankShelf(place, "loop1", rank=rank, world=WORLD, attempt=attempt, number=number, keep=keep)
        for rank in range(WORLD)
    ]


def payload(step: int, **more: Any) -> dict[str, Any]:
    return {"position": Position(step=step, epoch=0, loop=0, batch=step).as_plain(), **more}


def save(ranks: list[RankShelf], step: int, of: tuple[int, ...] = (0, 1, 2)) -> None:
    """All come to a boundary; those that are named write their part."""
    for shelf in ranks:
        shelf.next_set(step)
    for rank in of:
        ranks[rank].save(Header(name="loop1", step=step, epoch=0), payload(step, rank=rank))


@pytest.fixture
def said() -> list[str]:
    return []


def newest(place: Path, said: list[str], rank: int = 0) -> tuple[int, Any] | None:
    found = newest_set(place, "loop1", WORLD, said.append, rank)
    return None if found is None else (found[0].step, read_checkpoint(found[1].path)[1]["rank"])


def test_a_set_is_found_by_each_rank_and_the_last_two_stay(tmp_path: Path, said: list[str]) -> None:
    ranks = shelves(tmp_path)
    for step in (2, 4, 6, 8):
        save(ranks, step, (2, 0, 1) if step == 4 else (0, 1, 2))
    assert [one.step for one in sets_in(tmp_path)] == [6, 8]
    assert [newest(tmp_path, said, rank) for rank in range(WORLD)] == [(8, 0), (8, 1), (8, 2)]
    assert highest_number(tmp_path) == 4
    assert said == []


@pytest.mark.parametrize("lost", range(WORLD))
def test_a_set_that_lacks_a_rank_is_passed_over_by_name(tmp_path: Path, said: list[str], lost: int) -> None:
    ranks = shelves(tmp_path)
    save(ranks, 2)
    save(ranks, 4, tuple(rank for rank in range(WORLD) if rank != lost))
    assert newest(tmp_path, said) == (2, 0)
    assert f"found none of rank {lost}" in said[0]
    assert "step4" in said[0]
    found = newest_set(tmp_path, "loop1", WORLD, said.append)
    assert found is not None
    for shelf in ranks:
        shelf.drop_after(found[1])
    assert [one.step for one in sets_in(tmp_path)] == [2]  # it can never be whole


def test_the_earlier_set_stays_until_the_new_one_is_whole(tmp_path: Path, said: list[str]) -> None:
    """Whoever writes first or last, at every moment a whole set is there."""
    ranks = shelves(tmp_path, keep=1)
    for step in (2, 4, 6):
        for shelf in ranks:
            shelf.next_set(step)
        for rank in (0, 2, 1):
            ranks[rank].save(Header(name="loop1", step=step, epoch=0), payload(step, rank=rank))
            if step > 2:
                found = newest(tmp_path, [])
                assert found is not None
                assert found[0] == (step if rank == 1 else step - 2)
        assert [one.step for one in sets_in(tmp_path)] == [step]


@pytest.mark.parametrize("damaged", range(WORLD))
def test_a_damaged_part_of_any_rank_takes_its_set_out(tmp_path: Path, said: list[str], damaged: int) -> None:
    ranks = shelves(tmp_path)
    save(ranks, 2)
    save(ranks, 4)
    part = sets_in(tmp_path)[-1].part(damaged, WORLD)
    content = bytearray(part.read_bytes())
    content[-20] ^= 1
    part.write_bytes(content)
    assert newest(tmp_path, said) == (2, 0)
    assert part.name in said[0]
    assert "truncated or damaged" in said[0]
    found = newest_set(tmp_path, "loop1", WORLD, lambda _: None)
    assert found is not None
    ranks[1].drop_after(found[1])
    assert part.exists()  # that is rank 0's to do
    ranks[0].drop_after(found[1])
    assert [one.step for one in sets_in(tmp_path)] == [2]
    assert [path.name for path in tmp_path.glob("*.damaged")] == [f"{part.parent.name}.damaged"]


def test_no_part_of_another_step_rank_or_place_passes_for_one(tmp_path: Path, said: list[str]) -> None:
    """Each with the right digest."""
    ranks = shelves(tmp_path)
    save(ranks, 2)
    save(ranks, 4)
    older, newer = sets_in(tmp_path)
    good = newer.part(1, WORLD).read_bytes()
    for other in (older.part(1, WORLD), newer.part(2, WORLD)):
        shutil.copy(other, newer.part(1, WORLD))
        assert newest(tmp_path, said) == (2, 0)
        assert "expected the part of rank 1 of 3 at the place of rank 0" in said.pop()
    newer.part(1, WORLD).write_bytes(good)
    assert newest(tmp_path, said) == (4, 0)
    elsewhere = payload(4, rank=1) | {"position": Position(step=4, epoch=1).as_plain()}
    ranks[1].save(Header(name="loop1", step=4, epoch=1), elsewhere)
    assert newest(tmp_path, said) == (2, 0)
    assert "'epoch': 1" in said.pop()


def test_parts_of_two_attempts_make_no_set(tmp_path: Path, said: list[str]) -> None:
    """An orphan that writes on after its job was begun again."""
    first, second = shelves(tmp_path), shelves(tmp_path, attempt="b" * 8)
    save(first, 2, (0, 1))
    save(second, 2, (2,))
    assert newest(tmp_path, said) is None
    assert len(said) == 2


def test_another_number_of_ranks_is_refused_by_name(tmp_path: Path, said: list[str]) -> None:
    """More, fewer, or one process alone, in either order; never begun anew beside them."""
    save(shelves(tmp_path), 2)
    with pytest.raises(OtherWorld, match=r"checkpoint of 2 ranks, as this run has, found one of 3 ranks"):
        newest_set(tmp_path, "loop1", 2, said.append)
    with pytest.raises(OtherWorld, match="one process, as this run has, found some of several ranks"):
        newest_of_either(tmp_path, 1, said.append)
    alone = tmp_path / "alone"
    Shelf(alone, say=said.append).save(Header(name="loop1", step=2), payload(2))
    with pytest.raises(OtherWorld, match="3 ranks, as this run has, found some of one process"):
        refuse_other_world(alone, "loop1", 3)
    refuse_other_world(alone, "loop2", 3)
    kept = newest_of_either(alone, 1, said.append)
    assert kept is not None
    assert kept.header.step == 2


def test_another_format_is_not_passed_over(tmp_path: Path, said: list[str]) -> None:
    ranks = shelves(tmp_path)
    save(ranks, 2)
    save(ranks, 4, (1, 2))
    ranks[0].save(Header(name="loop1", step=4, epoch=0, format=FORMAT + 1), payload(4, rank=0))
    with pytest.raises(OtherVersion):
        newest(tmp_path, said)


def test_what_a_killed_rank_was_writing_goes(tmp_path: Path) -> None:
    save(shelves(tmp_path), 2)
    folder = sets_in(tmp_path)[0].folder
    half = folder / ".000001-step2.rank1of3.ckpt.abc.tmp"
    half.write_bytes(b"half")
    clean(tmp_path)
    assert not half.exists()
    assert len(list(folder.iterdir())) == WORLD


def test_a_number_is_used_up_also_where_a_rank_wrote_nothing(tmp_path: Path, said: list[str]) -> None:
    """A full disk, a state that became none: else its next part would come among those of this step."""
    ranks = shelves(tmp_path)
    tmp_path.joinpath("000001-loop1-step2-aaaaaaaa.ranks").write_text("in the way")
    with pytest.raises(OSError, match="exists"):
        save(ranks, 2, (0,))
    assert ranks[0].missing() == [0, 1, 2]
    save(ranks, 4)
    assert newest(tmp_path, said) == (4, 0)
    with pytest.raises(CheckpointError, match="expected a part for each rank, found none"):
        sets_in(tmp_path)[0].look()
