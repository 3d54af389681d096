"""The ``sys.argv`` of a single job of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

_SWEEP_FLAGS = ("-m", "--multirun", "-r", "--run")
_SWEPT = "hydra.mode=MULTIRUN"
_VALUE_FLAGS = ("-cp", "--config-path", "-cn", "--config-name", "-cd", "--config-dir", "-p", "--package")
_SWEEP_KEYS = (
    "hydra/launcher",
    "hydra/sweeper",
    "hydra.launcher",
    "hydra.sweeper",
    "hydra.sweep",
    "hydra.mode",
)


def job_argv(argv: Sequence[str], job_overrides: Sequence[str], hydra_overrides: Sequence[str]) -> list[str]:
    """What the user would have typed to run this job alone.

    Flags such as ``--config-name`` stay, what makes a sweep goes, and the job's own overrides take the place of
    the swept ones.

    Parameters
    ----------
    hydra_overrides : sequence of str
        Those of Hydra's own config, as Hydra keeps them of the job. It notes there that it sweeps, but where the
        user's config says so: that must be overridden.

    Examples
    --------
    >>> job_argv(["train.py", "-m", "hydra/launcher=joblib", "seed=1,2"], ["seed=2"], ["hydra.mode=MULTIRUN"])
    ['train.py', 'seed=2']
    """
    flags: list[str] = []
    typed: list[str] = []
    arguments = iter(argv[1:])
    for argument in arguments:
        if _is_one_of(argument, _SWEEP_FLAGS):
            continue
        if _is_one_of(argument, _VALUE_FLAGS):
            flags += [argument, *(value for value in [next(arguments, None)] if value is not None)]
        elif argument.startswith("-"):
            flags.append(argument)
        elif _is_hydra_override(argument) and not _makes_a_sweep(argument):
            typed.append(argument)
    own = [override for override in job_overrides if override not in typed]
    alone = [] if _SWEPT in hydra_overrides else ["hydra.mode=RUN"]
    return [*argv[:1], *flags, *typed, *alone, *(o for o in own if not _makes_a_sweep(o))]


def _is_one_of(argument: str, flags: Sequence[str]) -> bool:
    """Whether `argument` is one of `flags`, or a long one cut short: Hydra's argparse takes ``--multi`` too.

    Hydra has refused what is ambiguous before a sweep gets here.
    """
    return argument in flags or (
        len(argument) > len("--") and argument.startswith("--") and any(f.startswith(argument) for f in flags)
    )


def _key(override: str) -> str:
    return override.lstrip("+~").split("=", 1)[0].split("@", 1)[0]


def _is_hydra_override(override: str) -> bool:
    return _key(override).startswith(("hydra.", "hydra/"))


def _makes_a_sweep(override: str) -> bool:
    key = _key(override)
    return any(key == name or key.startswith((f"{name}.", f"{name}/")) for name in _SWEEP_KEYS)
