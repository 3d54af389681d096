"""Which variables are alive: what a debugger would have to keep, and nothing else."""

from __future__ import annotations

import sys
from typing import Any

from repro_hydra.checkpoint.liveness import live_after


class Probe:
    """Gives one item, and notes what is alive in its caller then."""

    def __init__(self) -> None:
        self.live: frozenset[str] = frozenset()

    def __iter__(self) -> Any:
        frame = sys._getframe(1)
        yield 1
        self.live = live_after(frame.f_code, frame.f_lasti)
        yield 2


def test_a_sum_is_alive_and_a_temporary_is_not() -> None:
    probe = Probe()
    total, read_before, result = 0, 5, 0
    assert read_before
    for item in probe:
        temporary = item * 2
        total += temporary
        assert total
        result = temporary
    assert result == 4
    assert {"total", "result"} <= probe.live  # the last is read after the loop, which may end here
    assert not {"temporary", "item", "read_before"} & probe.live


def test_what_a_branch_a_closure_or_a_handler_reads_is_alive() -> None:
    probe = Probe()
    flag, seen, captured, rescue, finally_read = False, [], 3, "r", "f"

    def inner() -> int:
        return captured

    for item in probe:
        try:
            if flag:
                seen.append(item)
            inner()
        except ValueError:
            assert rescue
        finally:
            assert finally_read
    assert {"flag", "seen", "inner", "rescue", "finally_read"} <= probe.live


def test_an_overwritten_value_is_dead() -> None:
    probe = Probe()
    value = 1
    assert value
    for _ in probe:
        value = 2
        assert value
    value = 3
    assert value
    assert "value" not in probe.live


def test_the_names_of_a_module_are_followed_too() -> None:
    """A loop at the top of a script: its variables are the module's."""
    probe = Probe()
    code = "total = 0\ndead = 1\nfor item in probe:\n    total += item\n    dead = item\nprint_(total)\n"
    names: dict[str, Any] = {"probe": probe, "print_": lambda _: None}
    exec(code, names)
    assert "total" in probe.live
    assert "dead" not in probe.live
    assert names["total"] == 3
