"""`repro_hydra.seed.forked`: what forked children draw from `random`."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from repro_hydra.seed.forked import seeded_in_forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is forked here")


@pytest.fixture(autouse=True)
def generator_as_it_was() -> Iterator[None]:
    state = random.getstate()
    yield
    random.setstate(state)


def drawn_in_child(*, grandchild: bool = False) -> float:
    """The first number that a forked child draws, or a child of it."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, repr(drawn_in_child() if grandchild else random.random()).encode())
        os._exit(0)
    os.waitpid(pid, 0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        return float(stream.read())


def family(seed: int) -> list[float]:
    random.seed(seed)
    with seeded_in_forks(seed):
        return [drawn_in_child(), drawn_in_child(), drawn_in_child(grandchild=True), random.random()]


def test_children_draw_what_follows_from_the_seed() -> None:
    """The same in each run, another number in each child, and the parent goes on as if nobody had been forked."""
    first, again, other = family(3), family(3), family(4)
    assert first == again
    assert len({*first, *other}) == 8
    assert first[-1] == random.Random(3).random()


def test_outside_of_a_run_python_asks_the_system() -> None:
    """What is to be prevented, and what this leaves alone once the run is over."""
    family(3)
    random.seed(3)
    assert drawn_in_child() != drawn_in_child()
