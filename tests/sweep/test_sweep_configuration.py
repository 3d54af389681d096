from __future__ import annotations

import doctest

import pytest

import repro_hydra.sweep.configuration
from repro_hydra.sweep.configuration import configuration, leaves_of_overrides, varying_keys, without_seed


def test_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(repro_hydra.sweep.configuration).failed == 0


@pytest.mark.parametrize(
    "text",
    [
        "run-${seed}",
        "${now:%H-%M}",
        "${hydra:job.num}",
        "${oc.select:seed,0}",
        "${mul:${seed},2}",
        "${ seed }",
        ["a", "${seed}"],
    ],
)
def test_what_follows_from_the_run_is_no_part_of_it(text: object) -> None:
    unresolved = {"seed": 3, "lr": 0.1, "x": text}
    assert configuration({"seed": 3, "lr": 0.1, "x": "whatever"}, unresolved, "seed") == {"lr": 0.1}


@pytest.mark.parametrize("text", ["${lr}", "${oc.env:LR}", "${seeds}", "seed", "${data.seed_file}"])
def test_what_does_not_stays(text: str) -> None:
    unresolved = {"seed": 3, "lr": 0.1, "x": text}
    assert configuration({"seed": 3, "lr": 0.1, "x": 1}, unresolved, "seed") == {"lr": 0.1, "x": 1}


def test_relative_and_nested_interpolations_are_followed() -> None:
    unresolved = {
        "train": {"seed": 1, "name": "s${.seed}", "deep": {"copy": "${..name}", "lr": 0.1}},
        "node": "${train}",
        "all": "${train.deep.copy}",
    }
    resolved = {
        "train": {"seed": 1, "name": "s1", "deep": {"copy": "s1", "lr": 0.1}},
        "node": {"seed": 1, "name": "s1", "deep": {"copy": "s1", "lr": 0.1}},
        "all": "s1",
    }
    assert configuration(resolved, unresolved, "train.seed") == {"train.deep.lr": 0.1}


def test_a_circle_of_references_ends() -> None:
    unresolved = {"a": "${b}", "b": "${a}", "seed": 1}
    assert configuration({"a": 1, "b": 1, "seed": 1}, unresolved, "seed") == {"a": 1, "b": 1}


def test_no_config_at_all_is_an_empty_configuration() -> None:
    assert configuration(None, None, "seed") == {}


def test_varying_keys_tell_types_and_absence_apart() -> None:
    several = [{"a": 1, "b": True, "c": None}, {"a": 1, "b": 1}]
    assert varying_keys(several) == ["b", "c"]
    assert varying_keys(several[:1]) == []


def test_overrides_without_the_seed_are_one_place() -> None:
    one = without_seed(["+repro=strict", "seed=1", "lr=0.1"], "seed")
    assert one == without_seed(["lr=0.1", "+seed=2", "+repro=strict"], "seed")
    assert one != without_seed(["lr=0.2", "seed=1", "+repro=strict"], "seed")


def test_only_the_tasks_own_overrides_are_shown() -> None:
    texts = [
        "+repro=strict",
        "+repro/seed=off",
        "hydra.sweep.dir=x",
        "hydra/launcher=repro",
        "reprod=1",
        "~a",
        "b='c'",
    ]
    assert leaves_of_overrides(texts) == {"reprod": 1, "a": "", "b": "c"}
