"""The session for those who use neither of Hydra's doors, and what a task may call while it runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from repro_hydra.config import Mode, ReproConf
from repro_hydra.config_groups import DIFFERENCES, MODES, strict_conf
from repro_hydra.program import NoProgram, describe_program
from repro_hydra.record.places import place_of, project_of, remember_place
from repro_hydra.record.schema import RunRecord
from repro_hydra.session.check import check_start
from repro_hydra.session.claim import check_directory, reserve_stamped
from repro_hydra.session.code import keep_code
from repro_hydra.session.datasets import register_new_data
from repro_hydra.session.findings import Refused, blockers, waive
from repro_hydra.session.interpreter import check_interpreter
from repro_hydra.session.plan import Job, Plan, options_from
from repro_hydra.session.recorded import take
from repro_hydra.session.recorded_options import watched_as_told
from repro_hydra.session.session import Session, active_session


@contextmanager
def session(
    config: Mapping[str, Any] | DictConfig | object | None = None,
    *,
    mode: str = "standard",
    name: str | None = None,
    datasets: Mapping[str, str | Path] | Sequence[str | Path] | str | Path | None = None,
    run_dir: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
) -> Iterator[Session]:
    """A recorded run from a script, a notebook, the compose API or hydra-zen.

    Parameters
    ----------
    config : mapping, DictConfig or dataclass, optional
        The run's config; its ``seed`` is the run's seed.
    mode : str
        ``strict``, ``standard`` or ``record``. Strict asks for an interpreter that started with the right
        environment: start the script with ``repro-hydra run -- python script.py``.
    name : str, optional
        The run's name in its record.
    datasets : mapping of name to path, or sequence of paths, or one path, optional
        The run's inputs, as ``data.datasets`` declares them; a path alone is called by its last part.
    run_dir : path, optional
        The run's directory; by default ``outputs/<date>/<time>``.
    options : mapping, optional
        More of what ``hydra.callbacks.repro`` takes, e.g. ``{"tags": ["pilot"], "allow": {…}}``.

    Yields
    ------
    Session
        With ``run`` (the record so far), ``log_metrics`` and ``log_result``.

    Raises
    ------
    Refused
        In strict, when something blocks; its text names all of it.
    ValueError
        For a mode that there is not, and for two paths that would be called the same.

    Examples
    --------
    >>> with session({"seed": 3, "lr": 0.1}, name="pilot") as run:  # doctest: +SKIP
    ...     run.log_result({"accuracy": train()})
    """
    chosen = _options(mode, name, options or {})
    chosen.data.datasets |= _named(datasets)
    directory = (
        Path(run_dir) if run_dir is not None else Path(datetime.now().strftime("outputs/%Y-%m-%d/%H-%M-%S"))
    )
    recorded = take(os.environ)
    if recorded is not None:
        directory = Path(recorded.run_dir)
        chosen = watched_as_told(recorded, chosen)
    directory = directory.absolute()
    stamped = run_dir is None or recorded is not None
    program = describe_program()
    checked = check_start(chosen, program, cwd=Path.cwd(), exclude=(directory,))
    restart_with, interpreter = check_interpreter(chosen, addresses=False)
    if restart_with:
        _, interpreter = _cannot_restart(chosen)
    findings = waive(
        [*interpreter, *check_directory(directory, stamped=stamped), *checked.findings], chosen.allow
    )
    blocking = blockers(findings, chosen.mode)
    if blocking:
        raise Refused(blocking, f"{chosen.mode.value} refuses this session")
    code = keep_code(checked.code, chosen.code, findings)
    if stamped and recorded is None:
        directory = reserve_stamped(directory)
    if recorded is None:
        project = project_of(Path.cwd())
        remember_place(project, place_of(directory, project, stamped=stamped))
    data, unregistered = register_new_data(checked.data, Path.cwd())
    plan = Plan(
        options=chosen,
        argv=list(sys.argv),
        cwd=str(Path.cwd()),
        entry={"kind": "session"}
        if isinstance(program, NoProgram)
        else {"kind": "session", "target": program.target},
        code=code.record,
        code_files=code.files,
        data=data,
        lock=checked.lock,
        findings=(*findings, *unregistered),
        must_be_fresh=chosen.mode is Mode.strict,
        recorded=recorded,
    )
    with Session(plan, Job(run_dir=directory, config=_as_mapping(config), name=name)) as running:
        yield running


def current_run() -> RunRecord | None:
    """The record, so far, of the run that this process is in; None outside of a run."""
    active = active_session()
    return None if active is None else active.run


def log_metrics(metrics: Mapping[str, Any], step: int | None = None) -> None:
    """Add one line to ``metrics.jsonl`` of the run that this process is in; outside of a run do nothing.

    Parameters
    ----------
    metrics : mapping of str to number
        Python, NumPy or torch scalars.
    step : int, optional
        Counted from the last one where left out.
    """
    active = active_session()
    if active is not None:
        active.log_metrics(metrics, step)


def log_result(result: Mapping[str, Any]) -> None:
    """Give the run its final metrics, for a task that returns none; outside of a run do nothing."""
    active = active_session()
    if active is not None:
        active.log_result(result)


def dataset(path: str | Path, name: str | None = None) -> Path:
    """Declare an input of the run that this process is in, and return its absolute path.

    It stands in the record with its digest, as if the config had declared it. Outside of a run only the path
    comes back.

    Parameters
    ----------
    path : path
        A file or a folder, relative to where the run was started.
    name : str, optional
        What the record calls it; by default the last part of its path.

    Raises
    ------
    DataError
        Nothing is there, or it can't be read.
    """
    active = active_session()
    return Path(path).expanduser().absolute() if active is None else active.dataset(path, name)


def _named(
    datasets: Mapping[str, str | Path] | Sequence[str | Path] | str | Path | None,
) -> dict[str, str]:
    if datasets is None:
        return {}
    if isinstance(datasets, Mapping):
        return {name: os.fspath(path) for name, path in datasets.items()}
    named: dict[str, str] = {}
    for path in [datasets] if isinstance(datasets, (str, Path)) else datasets:
        name = Path(path).name
        if name in named:
            raise ValueError(
                f"datasets: {named[name]!r} and {os.fspath(path)!r} would both be called {name!r}. "
                "Give each a name: datasets={NAME: PATH, …}"
            )
        named[name] = os.fspath(path)
    return named


def _options(mode: str, name: str | None, given: Mapping[str, Any]) -> ReproConf:
    if mode not in MODES:
        raise ValueError(f"mode: expected one of {', '.join(MODES)}, found {mode!r}")
    base = OmegaConf.structured(strict_conf())
    base.run_mode = None
    merged = OmegaConf.merge(base, DIFFERENCES.get(mode, {}), dict(given))
    assert isinstance(merged, DictConfig)
    if name is not None:
        merged.name = name
    return options_from(merged)


def _cannot_restart(options: ReproConf) -> tuple[dict[str, str], list[Any]]:
    """A session begins in the middle of a script, which has acted already: it must not be started again."""
    from repro_hydra.record.schema import Finding

    return {}, [
        Finding(
            id="interpreter-not-in-force",
            severity="blocks",
            message=(
                "the interpreter: it did not start with the environment that "
                f"{options.mode.value} needs, and a session cannot start it again. "
                f"Run: repro-hydra run -- python {os.path.basename(sys.argv[0]) or 'SCRIPT'}"  # noqa: PTH119
            ),
        )
    ]


def _as_mapping(config: Any) -> Any:
    if config is None:
        return {}
    if is_dataclass(config) and not isinstance(config, type):
        return asdict(config)
    if isinstance(config, (DictConfig, Mapping)):
        return config
    raise TypeError(f"config: expected a mapping, a DictConfig or a dataclass, found {type(config).__name__}")
