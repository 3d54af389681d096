from __future__ import annotations

import doctest
import enum
import json
import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import repro_hydra.record.values
from repro_hydra.record.store import encode
from repro_hydra.record.values import as_number, flatten_result, from_json_number, to_json


class Colour(enum.Enum):
    red = 1


def test_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(repro_hydra.record.values).failed == 0


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.5, {"objective": 0.5}),
        (3, {"objective": 3}),
        (np.float32(0.5), {"objective": 0.5}),
        (np.int64(3), {"objective": 3}),
        (torch.tensor(0.5), {"objective": 0.5}),
        (np.array(0.5), {"objective": 0.5}),
        ((1, 0.5), {"objective_0": 1, "objective_1": 0.5}),
        ([np.float64(1.5), torch.tensor(2)], {"objective_0": 1.5, "objective_1": 2}),
        (torch.tensor([1.0, 2.0]), {"objective_0": 1.0, "objective_1": 2.0}),
        (np.array([1.0, 2.0]), {"objective_0": 1.0, "objective_1": 2.0}),
        ({"a": {"b": {"c": 1}}, "d": 2}, {"a.b.c": 1, "d": 2}),
        ({"a": [1, 2]}, {"a_0": 1, "a_1": 2}),
        ({Colour.red: 1, 3: 2}, {"red": 1, "3": 2}),
        ({"a": None, "b": "text", "c": True}, {"a": None, "b": "text", "c": True}),
        (float("nan"), {"objective": "NaN"}),
        ({"a": np.inf, "b": -math.inf}, {"a": "Infinity", "b": "-Infinity"}),
        (None, {}),
        ({}, {}),
        ([], {}),
        ({"a": np.bool_(True), "b": torch.tensor(False)}, {"a": True, "b": False}),
        (np.longdouble(0.5), {"objective": 0.5}),
        (np.ma.array([1.5, 2.5], mask=[True, False]).mean(), {"objective": 2.5}),
    ],
)
def test_what_a_task_returns_becomes_a_flat_result(value: Any, expected: dict[str, Any]) -> None:
    metrics, left_out = flatten_result(value)
    assert metrics == expected
    assert [type(item) for item in metrics.values()] == [type(item) for item in expected.values()]
    assert left_out == []


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "objective: object"),
        ({"a": object()}, "a: object"),
        ({"a": [1, "x"]}, "a: a sequence"),
        ({"a": torch.zeros(2, 2)}, "a: Tensor"),
        ({"a": b"bytes"}, "a: bytes"),
        ({"a.b": 1, "a": {"b": 2}}, "a.b: two values"),
        (torch.zeros(2, device="meta"), "objective"),
        (np.ma.masked, "objective: MaskedConstant"),
        ({"a": np.longdouble(1), "b": np.complex128(1)}, "b: complex128"),
        (10**400, "objective: a whole number beyond"),
    ],
)
def test_what_has_no_place_is_named(value: Any, words: str) -> None:
    _, left_out = flatten_result(value)
    assert len(left_out) == 1
    assert words in left_out[0]


def test_a_mapping_that_holds_itself_costs_no_other_value() -> None:
    """A registry that a task returns by mistake has no end; what stands beside it is a result all the same."""
    endless: dict[str, Any] = {"loss": 0.5}
    endless["self"] = endless
    metrics, left_out = flatten_result(endless)
    assert metrics["loss"] == 0.5
    assert left_out == ["self: mappings nested more than 100 deep, or one that holds itself"]


def test_a_whole_number_that_no_float_reaches_is_no_number_to_readers() -> None:
    """A record that holds one, written by another program, can be read and aggregated."""
    assert from_json_number(10**400) is None
    assert from_json_number(2**70) == float(2**70)


def test_of_two_values_with_one_name_the_first_is_kept() -> None:
    assert flatten_result({"a.b": 1, "a": {"b": 2}})[0] == {"a.b": 1}


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_every_float_survives_to_the_bit(value: float) -> None:
    written = json.loads(encode({"x": to_json(value)}))["x"]
    back = from_json_number(written)
    assert back is not None
    assert (math.isnan(back) and math.isnan(value)) or back.hex() == value.hex()


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=15,
    )
)
def test_whatever_is_plain_becomes_valid_json(value: Any) -> None:
    text = json.dumps(to_json(value), allow_nan=False)
    assert json.loads(text) == to_json(value)


def test_other_types_become_their_text() -> None:
    assert to_json({"p": Path("a/b"), "e": Colour.red, "s": {2, 1}, "o": OrderedDict(x=(1,))}) == {
        "p": "a/b",
        "e": "red",
        "s": [1, 2],
        "o": {"x": [1]},
    }


@pytest.mark.parametrize(
    "value", [True, np.bool_(True), "1", None, [1], torch.tensor([1.0]), torch.tensor(True), 1j]
)
def test_what_is_no_number(value: Any) -> None:
    assert as_number(value) is None


@pytest.mark.parametrize("value", [True, "0.5", "nan", None, [1], {}])
def test_what_is_no_recorded_number(value: Any) -> None:
    assert from_json_number(value) is None
