"""Runs in Python: one by one, as a pandas table, as an xarray dataset."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from repro_hydra.inputs.hook import active
from repro_hydra.record.find import read_result, resolve, walk
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.places import known_places, project_of
from repro_hydra.record.run_values import RunValues
from repro_hydra.record.schema import JSON, ConfigRecord, RunRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.values import from_json_number
from repro_hydra.record.where import parse_where
from repro_hydra.sweep.configuration import (
    Leaves,
    configuration,
    file_leaves,
    flatten,
    identity,
    varying_keys,
)
from repro_hydra.sweep.steps import Curve, read_curve
from repro_hydra.sweep.wording import config_words

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

_SHOWN = ("run_id", "name", "mode", "status", "upheld", "seed", "started_at", "duration_s")


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """One run's record.

    Attributes
    ----------
    dir : str
        The run directory.
    record : RunRecord
        ``run.json``.
    config : dict
        The resolved config that the task got; empty where the run left none.
    result : dict
        The final metrics, NaN and infinities as floats; empty where there are none.
    """

    dir: str
    record: RunRecord
    config: dict[str, JSON]
    result: dict[str, JSON]
    _unresolved: JSON = None
    _seed_key: str = "seed"

    @property
    def seed(self) -> JSON:
        """The seed that the run had."""
        return self.record.seed

    @property
    def configuration(self) -> Leaves:
        """The config by dotted key, without the seed and what follows from it."""
        return configuration(self.config, self._unresolved, self._seed_key)

    def steps(self) -> Curve:
        """What it logged: metric to step to value."""
        return read_curve(self.dir)[0]


class LoadedRuns(Sequence[LoadedRun]):
    """Several runs, in the order of their configuration and seed."""

    def __init__(self, runs: Iterable[LoadedRun], problems: dict[str, str] | None = None) -> None:
        self._runs = list(runs)
        self.problems = problems or {}
        """Directory to reason: records that could not be read."""

    @overload
    def __getitem__(self, index: int) -> LoadedRun: ...
    @overload
    def __getitem__(self, index: slice) -> LoadedRuns: ...
    def __getitem__(self, index: int | slice) -> LoadedRun | LoadedRuns:
        if isinstance(index, slice):
            return LoadedRuns(self._runs[index], self.problems)
        return self._runs[index]

    def __len__(self) -> int:
        return len(self._runs)

    def __iter__(self) -> Iterator[LoadedRun]:
        return iter(self._runs)

    def to_pandas(self) -> pd.DataFrame:
        """A row a run: its identity, ``config.KEY`` and ``result.METRIC``; runs of every status."""
        pandas = _import("pandas")
        rows = [
            {name: getattr(run.record, name) for name in _SHOWN}
            | {"dir": run.dir}
            | {f"config.{key}": value for key, value in flatten(run.config).items()}
            | {f"result.{key}": value for key, value in run.result.items()}
            for run in self._runs
        ]
        frame: pd.DataFrame = pandas.DataFrame(rows, columns=None if rows else [*_SHOWN, "dir"])
        return frame

    def steps_to_pandas(self) -> pd.DataFrame:
        """A row a run, step and metric: ``run_id, seed, configuration, step, metric, value``."""
        pandas = _import("pandas")
        columns = ["run_id", "seed", "configuration", "step", "metric", "value"]
        labels = self._labels()
        rows = [
            (run.record.run_id, run.seed, label, step, metric, value)
            for run, label in zip(self._runs, labels, strict=True)
            for metric, values in run.steps().items()
            for step, value in values.items()
        ]
        frame: pd.DataFrame = pandas.DataFrame(rows, columns=columns)
        return frame

    def to_xarray(self) -> xr.Dataset:
        """The metrics of the completed runs, over ``configuration`` and ``seed``.

        A seed that a configuration has not is NaN. Each key in which the configurations differ is a coordinate.

        Raises
        ------
        ValueError
            For a seed that a configuration has twice.
        """
        xarray, numpy = _import("xarray"), _import("numpy")
        runs = [
            (run, label)
            for run, label in zip(self._runs, self._labels(), strict=True)
            if run.record.status == "completed"
        ]
        labels = list(dict.fromkeys(label for _, label in runs))
        seeds = sorted({run.seed for run, _ in runs}, key=lambda seed: (isinstance(seed, str), str(seed)))
        if all(isinstance(seed, (int, float)) for seed in seeds):
            seeds = sorted(seeds)
        numbers = {
            name: None
            for run, _ in runs
            for name, value in run.result.items()
            if isinstance(value, (int, float)) and not isinstance(value, bool)
        }
        data = {name: numpy.full((len(labels), len(seeds)), numpy.nan) for name in numbers}
        filled: dict[tuple[str, Any], str] = {}
        for run, label in runs:
            other = filled.setdefault((label, run.seed), run.dir)
            if other != run.dir:
                raise ValueError(
                    f"seed {run.seed} of {label}: expected one run, found {other} and {run.dir}. "
                    "Load fewer folders, or select with where="
                )
            place = labels.index(label), seeds.index(run.seed)
            for name in numbers:
                value = from_json_number(run.result.get(name))
                if value is not None:
                    data[name][place] = value
        coordinates: dict[str, Any] = {"configuration": labels, "seed": seeds}
        for key, values in self._coordinates(runs, labels).items():
            coordinates[key] = ("configuration", values)
        variables = {name: (("configuration", "seed"), values) for name, values in data.items()}
        dataset: xr.Dataset = xarray.Dataset(variables, coords=coordinates)
        return dataset

    def _labels(self) -> list[str]:
        leaves = [run.configuration for run in self._runs]
        varying = varying_keys(leaves)
        return [config_words({key: item[key] for key in varying if key in item}) for item in leaves]

    def _coordinates(
        self, runs: Sequence[tuple[LoadedRun, str]], labels: Sequence[str]
    ) -> dict[str, list[JSON]]:
        first: dict[str, Leaves] = {}
        for run, label in runs:
            first.setdefault(label, run.configuration)
        leaves = [first[label] for label in labels]
        keys = [key for key in varying_keys(leaves) if key not in ("configuration", "seed")]
        plain = (str, int, float, bool)
        return {
            key: [
                item.get(key) if isinstance(item.get(key), plain) else str(item.get(key)) for item in leaves
            ]
            for key in keys
        }


def load_run(reference: str | os.PathLike[str]) -> LoadedRun:
    """One run: its record, config and result.

    Parameters
    ----------
    reference : str or path
        A run directory, or a run id (a unique beginning will do).

    Raises
    ------
    UnresolvedReference
        It names no run, or several.
    RecordError
        The record cannot be read.
    """
    cwd = Path.cwd()
    located = resolve(os.fspath(reference), known_places(project_of(cwd), cwd=cwd))
    return _load(located.dir)


def load_runs(*roots: str | os.PathLike[str], where: str | None = None) -> LoadedRuns:
    """All runs below some folders, whatever their status; a copy of a run counts once.

    Parameters
    ----------
    roots : str or path
        Run or sweep directories, or folders of them; every place this project wrote to if none is given.
    where : str, optional
        An expression as `repro-hydra list --where` takes it.

    Raises
    ------
    WhereError
        For an expression that is none.
    FileNotFoundError
        For a root that is no folder.

    Examples
    --------
    >>> runs = load_runs("multirun", where="status=='completed'")  # doctest: +SKIP
    >>> runs.to_pandas().groupby("config.model")["result.test_accuracy"].mean()  # doctest: +SKIP
    """
    expression = None if where is None else parse_where(where)
    cwd = Path.cwd()
    folders = [Path(root) for root in roots] or known_places(project_of(cwd), cwd=cwd)
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: expected a folder of runs, found none")
    runs: dict[str, LoadedRun] = {}
    problems: dict[str, str] = {}
    for located in walk(folders):
        if located.kind == "sweep":
            continue
        if located.problem is not None:
            problems[located.dir] = located.problem
            continue
        try:
            run = _load(located.dir)
        except RecordError as error:
            problems[located.dir] = str(error)
            continue
        values = RunValues(
            {name: getattr(run.record, name) for name in (*_SHOWN, "tags", "created_at")} | {"dir": run.dir},
            flatten(run.config),
            run.result,
            partial(file_leaves, run.dir),
        )
        if expression is None or expression.selects(values):
            runs.setdefault(run.record.run_id, run)
    return LoadedRuns(sorted(runs.values(), key=_order), problems)


def _order(run: LoadedRun) -> tuple[bytes, bool, float, str]:
    number = from_json_number(run.seed)
    return identity(run.configuration), number is None, number or 0.0, run.dir


def _load(directory: str) -> LoadedRun:
    paths = RunPaths(Path(directory))
    recorder = active()
    if (
        recorder is not None
    ):  # within a job this is an input, which nobody would be told of: this package opens it
        recorder.looked_at(str(file) for file in (paths.run, paths.config, paths.result))
    record = read(paths.run, RunRecord)
    config: JSON = {}
    unresolved: JSON = None
    seed_key = "seed"
    if paths.config.exists():
        whole = read(paths.config, ConfigRecord)
        config, unresolved = whole.resolved, whole.unresolved
        options = whole.repro if isinstance(whole.repro, dict) else {}
        seed_key = str((options.get("seed") or {}).get("key") or "seed")
    result = read_result(directory) or {}
    numbers = {name: from_json_number(value) for name, value in result.items() if isinstance(value, str)}
    named = {name: value for name, value in numbers.items() if value is not None}
    return LoadedRun(
        directory, record, config if isinstance(config, dict) else {}, result | named, unresolved, seed_key
    )


def _import(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise ImportError(f"{name} is not installed. Run: pip install 'repro-hydra[frames]'") from None
