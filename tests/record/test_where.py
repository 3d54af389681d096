"""``--where``: what it understands, what it refuses, and that nothing in it is ever executed."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

import repro_hydra.record.where
from repro_hydra.record.run_values import RunValues
from repro_hydra.record.where import WhereError, parse_where

RUN = RunValues(
    {
        "status": "completed",
        "seed": 3,
        "upheld": "yes",
        "tags": ["paper", "v2"],
        "name": None,
        "duration_s": 1.5,
    },
    {"optimizer.lr": 0.05, "model": "conv", "flag": True, "layers": [1, 2], "empty": None},
    {"test_accuracy": 0.98, "val/acc": 0.9, "test.loss": "NaN", "word": "good"},
)


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("config.optimizer.lr<0.1 and result.test_accuracy>0.97 and status=='completed'", True),
        ("config.optimizer.lr<0.1 and status=='failed'", False),
        ("status=='failed' or seed==3", True),
        ("not status == 'failed'", True),
        ("0.01 < config.optimizer.lr < 0.1", True),
        ("0.01 < config.optimizer.lr < 0.02", False),
        ("seed in [1, 2, 3]", True),
        ("seed not in (1, 2)", True),
        ("'paper' in tags", True),
        ("config['optimizer.lr'] == 5e-2", True),
        ("config.optimizer['lr'] == 5e-2", True),
        ("result['val/acc'] >= 0.9", True),
        ("result.test.loss < 1", False),  # NaN is less than nothing
        ("config.flag", True),
        ("not config.flag", False),
        ("config.flag == 1", False),  # in a config they are two values
        ("config.flag == true", True),
        ("config.empty == null", True),
        ("config.empty is None", True),
        ("name == null", True),
        ("config.layers == [1, 2]", True),
        ("config.model < 3", None),  # a word and a number have no order
        ("config.absent > 1", None),
        ("not config.absent > 1", None),
        ("config.absent > 1 or seed == 3", True),
        ("config.absent > 1 and seed == 4", False),
        ("config.absent != 1", None),
        ("seed > -1", True),
    ],
)
def test_truth(text: str, truth: bool | None) -> None:
    """What a run does not have is unknown, not false; such a run is not selected."""
    where = parse_where(text)
    assert where.truth(RUN) is truth
    assert where.selects(RUN) is (truth is True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "seed ==",
        "seed = 3",
        "__import__('os').system('true')",
        "(lambda: 1)()",
        "[x for x in config.a]",
        "config.a + 1 > 2",
        "status if seed else 1",
        "config.a[seed] == 1",
        "f'{seed}' == '3'",
        "lr < 0.1",
        "config",
        "result",
        "__class__ == 1",
        "status.__class__ == 1",
        "config.a == b'x'",
        "(" * 300 + "seed" + ")" * 300,
        "seed == 1 or " * 400 + "seed == 2",
        "\0",
        "-config.a < 1",
        "seed == 1; seed",
        "(x := 3) > 1",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    """Calls, arithmetic, unknown names: one message, and nothing is run."""
    with pytest.raises(WhereError, match="--where"):
        parse_where(text)


def test_a_mistyped_name_gets_a_hint() -> None:
    """The message says what was meant, most likely."""
    with pytest.raises(WhereError, match="Did you mean status"):
        parse_where("statuss == 'failed'")
    with pytest.raises(WhereError, match=r"config\.lr or result\.lr"):
        parse_where("lr < 1")


def test_names_that_no_run_has() -> None:
    """They are told apart from names that some run has."""
    where = parse_where("config.model == 'x' or result.acc > 1")
    assert where.unknown_names([RUN]) == ["result.acc"]
    assert where.outcomes == ("result.acc",)


@given(st.text(max_size=60))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    """No input brings about anything else, whatever the run holds."""
    try:
        where = parse_where(text)
    except WhereError:
        return
    assert where.truth(RUN) in (True, False, None)


def test_examples() -> None:
    """Those in the docstrings run."""
    assert doctest.testmod(repro_hydra.record.where).failed == 0
