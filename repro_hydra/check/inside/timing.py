"""Jobs of pools delayed, so that they finish in another order: any delay is one that could happen."""

from __future__ import annotations

import functools
import itertools
import random
import sys
import time
from collections.abc import Callable
from typing import Any

from repro_hydra.check.inside.notes import Notes, caller, users_frame
from repro_hydra.imports import LateImports

_DELAYED = 64
"""Only the first jobs are: a pool of many would be slowed down for nothing."""
_PLACES = 8
_STEP_S = 0.015
"""More than what a busy machine takes to wake a thread."""
_sleep = time.sleep


def delay_s(number: int, variation: int) -> float:
    """How long job `number` waits: the later the longer, the other way round, or in a shuffled order."""
    if number >= _DELAYED:
        return 0.0
    places = list(range(_PLACES))
    if variation == 1:
        places.reverse()
    elif variation > 1:
        random.Random(variation).shuffle(places)
    return places[number % _PLACES] * _STEP_S


def install(variation: int, notes: Notes, late: LateImports) -> None:
    """Replace what hands jobs to pools, and note the lines that take results as they come."""

    def executors(module: str, name: str) -> None:
        _delay_submit(getattr(sys.modules[module], name), variation, notes)

    for module, name in (
        ("concurrent.futures.thread", "ThreadPoolExecutor"),
        ("concurrent.futures.process", "ProcessPoolExecutor"),
    ):
        late.when_imported(module, functools.partial(executors, module, name))
    late.when_imported("concurrent.futures", lambda: _note_as_completed(notes))
    late.when_imported("multiprocessing.pool", lambda: _delay_pool(variation, notes))


def delayed(wait_s: float, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """Do it a little later."""
    _sleep(wait_s)
    return function(*given, **named)


def _delay_submit(executor: Any, variation: int, notes: Notes) -> None:
    submit, numbers = executor.submit, itertools.count()

    @functools.wraps(submit)
    def later(self: Any, function: Callable[..., Any], /, *given: Any, **named: Any) -> Any:
        notes.at("pool", users_frame(caller()))
        wait_s = delay_s(next(numbers), variation)
        return (
            submit(self, delayed, wait_s, function, *given, **named)
            if wait_s
            else submit(self, function, *given, **named)
        )

    executor.submit = later


def _note_as_completed(notes: Notes) -> None:
    futures: Any = sys.modules["concurrent.futures"]
    original = futures.as_completed

    def as_completed(*given: Any, **named: Any) -> Any:
        notes.at("pool timing", users_frame(caller()))
        return original(*given, **named)

    futures.as_completed = as_completed


def _delay_pool(variation: int, notes: Notes) -> None:
    pool: Any = sys.modules["multiprocessing.pool"].Pool
    unordered, numbers = pool.imap_unordered, itertools.count()

    def imap_unordered(self: Any, function: Callable[..., Any], items: Any, chunksize: int = 1) -> Any:
        notes.at("pool timing", users_frame(caller()))
        waits = ((delay_s(next(numbers), variation), item) for item in items)
        return unordered(self, functools.partial(_delayed_pair, function), waits, chunksize)

    pool.imap_unordered = imap_unordered


def _delayed_pair(function: Callable[..., Any], pair: tuple[float, Any]) -> Any:
    wait_s, item = pair
    if wait_s:
        _sleep(wait_s)
    return function(item)
