"""`repro_hydra.record.fingerprint`: where two runs first part, and what is no difference."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from repro_hydra.record.fingerprint import FingerprintLine, compare_fingerprints, fingerprint_lines


def lines(count: int = 4, **more: Any) -> list[FingerprintLine]:
    return [
        FingerprintLine(
            step=step, optimizer_index=0, scheme=1 if step == 0 else None, rng={"numpy": "n", "torch": f"t{step}"},
            initial_weights="i" if step == 0 else None, batch=f"b{step}", loss=f"l{step}", gradients=f"g{step}",
            optimizer=f"o{step}", weights=f"w{step}", **more,
        )
        for step in range(count)
    ]  # fmt: skip


def other(at: int, **changed: Any) -> list[FingerprintLine]:
    found = lines()
    found[at] = msgspec.structs.replace(found[at], **changed)
    return found


@pytest.mark.parametrize(
    ("at", "changed", "stage", "detail"),
    [
        (2, {"gradients": "x", "weights": "y"}, "gradient", "step 2: other gradients, while those of batch,"),
        (1, {"loss": "x", "gradients": "y"}, "loss", "step 1: other values of the loss, while those of batch"),
        (1, {"batch": "x", "loss": "y"}, "batch", "step 1: other contents of the batch"),
        (3, {"weights": "x"}, "weights", "step 3: other weights, while those of batch, loss, gradients, optimizer are"),
        (3, {"optimizer": "x", "weights": "y"}, "optimizer", "step 3: other states of the optimizer"),
        (0, {"initial_weights": "x", "weights": "y"}, "weights", "step 0: other weights before the first step"),
        (2, {"rng": {"numpy": "n", "torch": "x"}}, "rng", "step 2: torch's generator has another state at its end"),
    ],
)  # fmt: skip
def test_the_first_stage_of_the_first_step_that_differs(
    at: int, changed: dict[str, Any], stage: str, detail: str
) -> None:
    """As they come about within a step."""
    found = compare_fingerprints(lines(), other(at, **changed))
    assert found.steps == 4
    assert found.first is not None
    assert (found.first.step, found.first.stage) == (at, stage)
    assert found.first.detail.startswith(detail)


def test_a_tensor_is_named_where_each_has_its_digest() -> None:
    """The first of those that differ."""
    one = lines(tensors={"gradients": {"a": "1", "b": "2", "c": "3"}})
    two = [msgspec.structs.replace(line, gradients="x", tensors={"gradients": {"a": "1", "b": "x", "c": "y"}})
           for line in one]  # fmt: skip
    found = compare_fingerprints(one, two)
    assert found.first is not None
    assert (found.first.tensor, found.first.detail) == (
        "b", "step 0: other gradients of b, while those of initial weights, batch, loss are equal",
    )  # fmt: skip


def test_a_value_that_was_handed_in() -> None:
    """By its name, and how often it had been handed in."""
    one = [FingerprintLine(step=step, name="q", digest=f"{step}") for step in range(3)]
    two = [*one[:2], FingerprintLine(step=2, name="q", digest="x")]
    found = compare_fingerprints(one, two)
    assert found.first is not None
    assert (found.steps, found.first.stage, found.first.tensor) == (3, None, "q")


def test_steps_that_only_one_of_them_made() -> None:
    """A difference, but where one was cut off; another order of steps is one at once."""
    found = compare_fingerprints(lines(4), lines(3))
    assert (found.steps, found.first and found.first.detail) == (
        3,
        "step 3: only the first of the two has it",
    )
    assert compare_fingerprints(lines(3), lines(4), cut_off=True).first is None
    found = compare_fingerprints(lines(4), [*lines(2), *lines(4)[3:]])
    assert (found.steps, found.first and found.first.detail) == (
        2,
        "step 2 in the one, step 3 in the other in its place",
    )


def test_what_was_made_in_another_way_is_not_compared() -> None:
    """By another scheme of digests, or of every tensor whole on one side only."""
    found = compare_fingerprints(lines(), other(0, scheme=2))
    assert (found.steps, found.first, found.why_not) == (0, None, "made by scheme 1 and by scheme 2")
    found = compare_fingerprints(lines(), lines(tensors={"weights": {"a": "1"}}))
    assert (found.steps, found.why_not) == (0, "made of every tensor whole in one of the two only")
    found = compare_fingerprints(lines(device="cpu"), lines(device="cuda"))
    assert (found.steps, found.why_not) == (0, "made on 'cpu' and on 'cuda'")
    assert compare_fingerprints([], lines()).why_not == "only the second of the two has any"
    assert compare_fingerprints([], []).why_not is None


def test_lines_that_differ_are_never_called_equal() -> None:
    """Whatever does: a generator that only one of them has, a tensor below equal sums, a field of another kind."""
    more = {"rng": {"numpy": "n", "torch": "t2", "cuda": "c"}}
    found = compare_fingerprints(lines(), other(2, **more))
    assert (found.first and (found.first.stage, found.first.tensor)) == ("rng", "cuda")
    one = lines(tensors={"weights": {"a": "1"}})
    two = [*one[:3], msgspec.structs.replace(one[3], tensors={"weights": {"a": "1", "\x1b[2J": "2"}})]
    found = compare_fingerprints(one, two)
    assert found.first is not None
    assert (found.first.step, found.first.stage, found.first.tensor) == (3, "weights", "\x1b[2J")
    assert "\x1b" not in found.first.detail
    found = compare_fingerprints(lines(), other(1, digest="x"))
    assert (found.first and found.first.detail) == "step 1: another line"


def test_lines_of_a_file() -> None:
    """One that a killed job left half is passed over, also where it reads as JSON; a damaged one is not."""
    data = b'{"step":0,"weights":"a"}\n{"step":1,"weights":"b","new":7}\n'
    assert [line.weights for line in fingerprint_lines(data)] == ["a", "b"]
    for half in (b'{"step":2,"wei', b"17"):
        assert [line.step for line in fingerprint_lines(data + half)] == [0, 1]
    for damaged in (b'{"step":"x"}\n', b'{"step":1,"name":"\xff"}\n', b"[" * 100_000 + b"\n"):
        with pytest.raises(ValueError, match=r"^b'"):
            list(fingerprint_lines(damaged + data))
