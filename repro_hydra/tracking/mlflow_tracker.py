"""MLflow: a run with params, metrics, tags, dataset inputs and the record as artifacts; a sweep as its parent."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from mlflow import MlflowClient, get_tracking_uri
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.schema import SweepRecord
from repro_hydra.record.store import RecordError, read, write_json
from repro_hydra.record.tracking import SweepTracking
from repro_hydra.tracking.mlflow_store import make_whole
from repro_hydra.tracking.names import allowed_names
from repro_hydra.tracking.protocol import Opened, Point
from repro_hydra.tracking.view import RunView, milliseconds

T = TypeVar("T")
# Of MLflow's own validation (mlflow.utils.validation); it accepts more characters on some stores only.
_FORBIDDEN = re.compile(r"[^\w\-. :/]|(?<=/)/|^/|/$|(?<![^/])\.{1,2}(?![^/])", re.ASCII)
_KEY_LENGTH, _PARAM_LENGTH, _TAG_LENGTH, _DIGEST_LENGTH = 250, 6000, 5000, 36
_METRICS_A_REQUEST, _PARAMS_A_REQUEST = 1000, 100
_STATUS = {"completed": "FINISHED", "failed": "FAILED", "created": "SCHEDULED", "running": "RUNNING"}
_SWEEP_TAG = "repro_hydra.sweep"


class MlflowTracker:
    """One run on a tracking server."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        uri = str(options.get("uri") or get_tracking_uri())
        make_whole(uri)
        self._client = MlflowClient(tracking_uri=uri)
        self._experiment_name = options.get("experiment")
        self._artifacts = options.get("artifacts", True)
        self._run_id = ""

    def open(self, run: RunView, remote_id: str | None) -> Opened:
        """Find the run by its id or by the record's, or make it; params, tags and inputs are sent either way."""
        experiment = self._experiment(self._experiment_name or run.run.task or "repro_hydra")
        found = remote_id if remote_id is not None and self._exists(remote_id) else None
        found = found or self._find(experiment, "repro_hydra.run_id", run.run.run_id)
        if found is None:
            parent = self._parent(run, experiment)
            tags = {"mlflow.parentRunId": parent} if parent else {}
            found = self._client.create_run(
                experiment,
                start_time=milliseconds(run.run.started_at or run.run.created_at),
                tags={**tags, "mlflow.user": run.run.user, "repro_hydra.run_id": run.run.run_id},
                run_name=run.display_name,
            ).info.run_id
        self._run_id = str(found)
        self._client.update_run(self._run_id, status=_STATUS.get(run.run.status, "RUNNING"))
        self._describe(run)
        return Opened(remote_id=self._run_id, goes_on=remote_id == found, url=self._url(experiment))

    def send(self, points: Sequence[Point]) -> None:
        """Log the points; MLflow keeps one of two equal ones, so a repetition after a lost answer does no harm."""
        names = allowed_names({n: None for p in points for n in p.values}, _FORBIDDEN, _KEY_LENGTH)
        metrics = (Metric(names[n], v, p.time_ms, p.step) for p in points for n, v in p.values.items())
        for batch in _batches(metrics, _METRICS_A_REQUEST):
            self._client.log_batch(self._run_id, metrics=batch, synchronous=True)

    def close(self, run: RunView) -> None:
        """The result as metrics, the final tags, the record's files, the status."""
        ended = milliseconds(run.run.ended_at or run.run.heartbeat_at)
        history = self._client.get_run(self._run_id).data.metrics
        names = allowed_names(run.result, _FORBIDDEN, _KEY_LENGTH)
        metrics = [
            Metric(names[name], value, ended, run.last_step)
            for name, value in run.result.items()
            if not _same(history.get(names[name]), value)
        ]
        self._client.log_batch(self._run_id, metrics=metrics, synchronous=True)
        self._tag(run.facts)
        if self._artifacts:
            for file in run.record_files():
                below = file.relative_to(run.paths.record).parent
                self._client.log_artifact(self._run_id, str(file), (Path("repro") / below).as_posix())
        self._client.set_terminated(self._run_id, _STATUS.get(run.status, "KILLED"), end_time=ended)
        self._end_parent(run)

    # ------------------------------------------------------------------ the run

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except MlflowException:  # a job of the same sweep was faster
            found = self._client.get_experiment_by_name(name)
            if found is None:
                raise
            return str(found.experiment_id)

    def _exists(self, run_id: str) -> bool:
        try:
            self._client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return True

    def _find(self, experiment: str, tag: str, value: str) -> str | None:
        found = self._client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=1)
        return str(found[0].info.run_id) if found else None

    def _describe(self, run: RunView) -> None:
        names = allowed_names(run.params, _FORBIDDEN, _KEY_LENGTH)
        # What is longer than MLflow takes stands whole in the artifact repro/config.json.
        params = (
            Param(names[name], _shortened(str(value), _PARAM_LENGTH)) for name, value in run.params.items()
        )
        for batch in _batches(params, _PARAMS_A_REQUEST):
            self._client.log_batch(self._run_id, params=batch, synchronous=True)
        code = run.code
        tags = {
            "mlflow.runName": run.display_name,
            "mlflow.source.type": "LOCAL",
            "mlflow.source.name": str(run.run.entry.get("target") or (run.run.argv or [""])[0]),
            "mlflow.note.content": run.run.note,
            "mlflow.source.git.commit": code.commit if code is not None else None,
            "mlflow.source.git.branch": code.branch if code is not None else None,
            "mlflow.source.git.repoURL": code.remote if code is not None else None,
            **run.facts,
        }
        self._tag({name: value for name, value in tags.items() if value})
        if run.data is not None and run.data.datasets:
            inputs = [
                DatasetInput(
                    Dataset(
                        name=dataset.name,
                        digest=dataset.digest[:_DIGEST_LENGTH],
                        source_type="local",
                        source=dataset.path,
                    )
                )
                for dataset in run.data.datasets
            ]
            self._client.log_inputs(self._run_id, inputs)

    def _tag(self, tags: Mapping[str, str]) -> None:
        self._client.log_batch(
            self._run_id,
            tags=[RunTag(name, _shortened(value, _TAG_LENGTH)) for name, value in tags.items()],
            synchronous=True,
        )

    def _url(self, experiment: str) -> str | None:
        uri = str(self._client.tracking_uri)
        return (
            f"{uri.rstrip('/')}/#/experiments/{experiment}/runs/{self._run_id}"
            if uri.startswith("http") and "@" not in uri
            else None
        )

    # ------------------------------------------------------------------ the sweep

    def _parent(self, run: RunView, experiment: str) -> str | None:
        """The parent of the sweep's runs; whichever job comes first makes it."""
        if run.run.sweep is None:
            return None
        paths = _sweep_paths(run)
        if paths is None:
            return self._sweeps_run(run, run.run.sweep.id, experiment)
        place = f"{str(self._client.tracking_uri).rpartition('@')[2]} {experiment}"
        paths.tracking.mkdir(parents=True, exist_ok=True)
        with FileLock(paths.tracking / "mlflow.lock"):
            file = paths.tracking / "mlflow.json"
            try:
                known = read(file, SweepTracking)
                if known.place == place and self._exists(known.remote_id):
                    return known.remote_id
            except RecordError:
                pass  # no job has made it yet
            found = self._sweeps_run(run, run.run.sweep.id, experiment)
            write_json(file, SweepTracking(tracker="mlflow", remote_id=found, place=place))
            return found

    def _sweeps_run(self, run: RunView, sweep: str, experiment: str) -> str:
        found = self._find(experiment, _SWEEP_TAG, sweep)
        if found is None:
            found = self._client.create_run(
                experiment,
                start_time=milliseconds(run.run.created_at),
                tags={_SWEEP_TAG: sweep, "mlflow.user": run.run.user},
                run_name=f"{run.run.name or run.run.task or 'sweep'}-sweep-{sweep[:8]}",
            ).info.run_id
        return str(found)

    def _end_parent(self, run: RunView) -> None:
        """Give the sweep's run the state of its jobs, once the last of them has one."""
        paths = _sweep_paths(run)
        if paths is None:
            return
        try:
            parent = read(paths.tracking / "mlflow.json", SweepTracking)
            sweep = read(paths.sweep, SweepRecord)
        except RecordError:
            return  # a job that was copied out of its sweep
        statuses = []
        for job in sweep.jobs:
            try:
                statuses.append(RunView(paths.sweep_dir / job.dir).status if job.dir else "created")
            except RecordError:
                statuses.append("created")
        if any(status in ("created", "running") for status in statuses):
            return
        state = "FINISHED" if all(status == "completed" for status in statuses) else "FAILED"
        self._client.set_terminated(
            parent.remote_id, state, end_time=milliseconds(run.run.ended_at or run.run.heartbeat_at)
        )


def _sweep_paths(run: RunView) -> SweepPaths | None:
    """The run's sweep, where it lies where the run says: elsewhere nothing is created."""
    if run.run.sweep is None:
        return None
    paths = SweepPaths(Path(run.run.sweep.dir))
    try:
        return paths if read(paths.sweep, SweepRecord).sweep_id == run.run.sweep.id else None
    except RecordError:
        return None  # a job that was copied out of its sweep, or a sweep that was moved


def _batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(items, size)):
        yield batch


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _same(a: float | None, b: float) -> bool:
    return a is not None and (a == b or (a != a and b != b))
