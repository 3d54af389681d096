"""TensorBoard: an event file below the run's directory, with scalars and the hparams plugin's summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from repro_hydra.record.manifest import MIRROR_SUFFIX
from repro_hydra.tracking.protocol import Opened, Point
from repro_hydra.tracking.view import RunView, milliseconds

_STATUS = {
    "completed": api_pb2.STATUS_SUCCESS,
    "created": api_pb2.STATUS_UNKNOWN,
    "running": api_pb2.STATUS_RUNNING,
}


class TensorboardTracker:
    """Writes the whole run anew whenever it is opened: a file can't tell how much of it was acknowledged."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._folder = options.get("dir")
        self._writer: EventFileWriter | None = None
        self._last_step = 0

    def open(self, run: RunView, remote_id: str | None) -> Opened:
        """Begin the event file; one of an earlier attempt is replaced."""
        folder = run.paths.run_dir / Path(self._folder or "tensorboard")
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"events.out.tfevents.*{MIRROR_SUFFIX}"):
            old.unlink()
        self._writer = EventFileWriter(str(folder), filename_suffix=MIRROR_SUFFIX)
        created = milliseconds(run.run.created_at)
        started = SessionStartInfo(
            group_name=run.run.run_id, start_time_secs=milliseconds(run.run.started_at) / 1000
        )
        for name, value in run.params.items():
            _set(started.hparams[name], value)
        experiment = api_pb2.Experiment(
            hparam_infos=[api_pb2.HParamInfo(name=name) for name in run.params],
            metric_infos=[
                api_pb2.MetricInfo(name=api_pb2.MetricName(tag=name), display_name=name)
                for name in _metric_names(run)
            ],
        )
        self._add_hparams(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment), created)
        self._add_hparams(
            metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=started), created
        )
        return Opened(remote_id=str(folder))

    def send(self, points: Sequence[Point]) -> None:
        """Write and flush."""
        assert self._writer is not None
        for point in points:
            values = [Summary.Value(tag=name, simple_value=value) for name, value in point.values.items()]
            self._add(Summary(value=values), point.step, point.time_ms)
            self._last_step = max(self._last_step, point.step)
        self._writer.flush()

    def close(self, run: RunView) -> None:
        """The result as scalars at the last step, and how the run ended."""
        assert self._writer is not None
        ended = milliseconds(run.run.ended_at or run.run.heartbeat_at)
        values = [Summary.Value(tag=name, simple_value=value) for name, value in run.result.items()]
        self._add(Summary(value=values), self._last_step, ended)
        status = _STATUS.get(run.status, api_pb2.STATUS_FAILURE)
        session = SessionEndInfo(status=status, end_time_secs=ended / 1000)
        self._add_hparams(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=session), ended)
        self._writer.close()

    def _add_hparams(self, tag: str, data: HParamsPluginData, time_ms: int) -> None:
        described = metadata.create_summary_metadata(data)
        value = Summary.Value(tag=tag, metadata=described, tensor=metadata.NULL_TENSOR)
        self._add(Summary(value=[value]), 0, time_ms)

    def _add(self, value: Summary, step: int, time_ms: int) -> None:
        assert self._writer is not None
        self._writer.add_event(Event(wall_time=time_ms / 1000, step=step, summary=value))


def _set(field: Any, value: Any) -> None:
    """Put a config value into a protobuf `Value`."""
    if isinstance(value, bool):
        field.bool_value = value
    elif isinstance(value, (int, float)):
        field.number_value = value
    else:
        field.string_value = str(value)


def _metric_names(run: RunView) -> list[str]:
    """Those of the result: the ones that a table of runs compares."""
    return sorted(run.result) or sorted(run.first_metrics)
