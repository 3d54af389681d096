"""`repro_hydra.arguments`: the command line of one job of a sweep."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from repro_hydra.arguments import job_argv

KEY = st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5})?", fullmatch=True).filter(
    lambda key: not key.startswith("hydra")
)
OVERRIDE = st.builds(
    lambda key, value: f"{key}={value}", KEY, st.integers() | st.sampled_from(["'a b'", "a=b", "-m"])
)


def alone(argv: list[str], own: list[str]) -> list[str]:
    """The argv of a job whose sweep was asked for on the command line."""
    return job_argv(argv, own, ["hydra.mode=MULTIRUN"])


@given(st.lists(OVERRIDE), st.lists(OVERRIDE))
def test_the_jobs_own_overrides_replace_the_swept_ones(swept: list[str], own: list[str]) -> None:
    """Whatever was swept, the job's argv is the program and the job's overrides, in their order."""
    assert alone(["train.py", "-m", *swept], own) == ["train.py", *own]


def test_flags_and_hydra_overrides_stay() -> None:
    """A job reads the same config in the same directory settings as its sweep."""
    argv = ["t.py", "-cn", "big", "--config-dir=conf", "--multirun", "hydra.verbose=true", "seed=1,2"]
    assert alone(argv, ["seed=2"]) == [
        "t.py",
        "-cn",
        "big",
        "--config-dir=conf",
        "hydra.verbose=true",
        "seed=2",
    ]


def test_what_makes_a_sweep_goes() -> None:
    """Launcher, sweeper, sweep directory and mode are the sweep's own, in every spelling."""
    makes = [
        "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra/sweeper=optuna", "hydra.mode=MULTIRUN",
        "hydra.sweep.dir=/x", "~hydra.sweeper.params", "+hydra.sweeper.params.seed='1,2'",
    ]  # fmt: skip
    assert alone(["t.py", *makes], ["seed=1"]) == ["t.py", "seed=1"]


def test_a_value_that_looks_like_a_flag_belongs_to_its_flag() -> None:
    """`-cn -m` names a config `-m`; a flag at the very end is kept as it is."""
    assert alone(["t.py", "-cn", "-m"], []) == ["t.py", "-cn", "-m"]
    assert alone(["t.py", "-m", "-cn"], []) == ["t.py", "-cn"]


def test_flags_may_be_cut_short() -> None:
    """Hydra's argparse takes any unique beginning; a lone `--` is none."""
    assert alone(["t.py", "--multi", "--config-n", "big", "a=1,2"], ["a=2"]) == [
        "t.py",
        "--config-n",
        "big",
        "a=2",
    ]
    assert alone(["t.py", "--mult", "--", "a=1,2"], ["a=2"]) == ["t.py", "--", "a=2"]


def test_an_override_is_not_repeated() -> None:
    """What the job holds already as an override of Hydra's own node stands there once."""
    assert alone(["t.py", "hydra.verbose=true"], ["hydra.verbose=true", "a=1"]) == [
        "t.py",
        "hydra.verbose=true",
        "a=1",
    ]
    assert alone([], ["a=1"]) == ["a=1"]


def test_a_config_that_sweeps_is_overridden() -> None:
    """`hydra.mode: MULTIRUN` in the user's config would make a sweep of the one job."""
    assert job_argv(["t.py", "seed=1,2"], ["seed=2"], []) == ["t.py", "hydra.mode=RUN", "seed=2"]
