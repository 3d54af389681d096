"""What the user's own code logs to MLflow, W&B, TensorBoard, Lightning or the HF Trainer, taken into the record.

Most templates return None and log all they know to a tracker: without this, `aggregate` would see nothing. Each
library's own method is wrapped where it is imported, does what it always did, and is put back at the run's end.
Of a call within a call (Lightning's logger calls TensorBoard's writer) only the outer one is taken.
"""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from repro_hydra.record.values import as_number

Log = Callable[[Mapping[str, Any], Any], None]
Read = Callable[..., tuple[Mapping[str, Any], Any]]


class Source(NamedTuple):
    """One method that logs, and how its metrics are read from its arguments."""

    module: str
    owner: str
    method: str
    read: Read


# The readers take their arguments as the wrapped methods name them.
# ruff: noqa: ARG001


def _scalar(self: Any, tag: str, scalar_value: Any, global_step: Any = None, *_: Any, **__: Any) -> Any:
    return {tag: scalar_value}, global_step


def _scalars(
    self: Any, main_tag: str, tag_scalar_dict: Mapping[str, Any], global_step: Any = None, *_: Any, **__: Any
) -> Any:
    return {f"{main_tag}/{name}": value for name, value in tag_scalar_dict.items()}, global_step


def _mlflow_metric(
    self: Any, run_id: str, key: str, value: Any, timestamp: Any = None, step: Any = None, *_: Any, **__: Any
) -> Any:
    return {key: value}, step


def _mlflow_batch(self: Any, run_id: str, metrics: Any = (), *_: Any, **__: Any) -> Any:
    metrics = list(metrics)
    steps = {metric.step for metric in metrics}
    return {metric.key: metric.value for metric in metrics}, steps.pop() if len(steps) == 1 else None


def _wandb(self: Any, data: Mapping[str, Any], step: Any = None, *_: Any, **__: Any) -> Any:
    given = step if step is not None else getattr(self, "_step", None)
    return _flat(data), given


def _lightning(self: Any, metrics: Mapping[str, Any], step: Any = None, *_: Any, **__: Any) -> Any:
    given = step if step is not None else metrics.get("step")
    if given is None:  # as it chooses the step for its own loggers, which is one less than `global_step`
        loop = getattr(getattr(self.trainer, "fit_loop", None), "epoch_loop", None)
        given = getattr(loop, "_batches_that_stepped", getattr(self.trainer, "global_step", None))
    return {name: value for name, value in _flat(metrics).items() if name != "step"}, given


def _trainer(self: Any, logs: Mapping[str, Any], *_: Any, **__: Any) -> Any:
    return logs, getattr(self.state, "global_step", None)


SOURCES = (
    Source("torch.utils.tensorboard.writer", "SummaryWriter", "add_scalar", _scalar),
    Source("torch.utils.tensorboard.writer", "SummaryWriter", "add_scalars", _scalars),
    Source("tensorboardX.writer", "SummaryWriter", "add_scalar", _scalar),
    Source("tensorboardX.writer", "SummaryWriter", "add_scalars", _scalars),
    Source("mlflow.tracking.client", "MlflowClient", "log_metric", _mlflow_metric),
    Source("mlflow.tracking.client", "MlflowClient", "log_batch", _mlflow_batch),
    Source("wandb.sdk.wandb_run", "Run", "log", _wandb),
    Source(
        "lightning.pytorch.trainer.connectors.logger_connector.logger_connector",
        "_LoggerConnector",
        "log_metrics",
        _lightning,
    ),
    Source(
        "pytorch_lightning.trainer.connectors.logger_connector.logger_connector",
        "_LoggerConnector",
        "log_metrics",
        _lightning,
    ),
    Source("transformers.trainer", "Trainer", "log", _trainer),
)


class TakenMetrics:
    """Takes metrics for the length of one run.

    Parameters
    ----------
    log : callable
        Gets the numbers among the metrics, and their step as the library was given it, or None.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._within = threading.local()
        self._originals: list[tuple[type, str, Any]] = []

    def install(self, when_imported: Callable[[str, Callable[[], None]], None]) -> None:
        """Wrap each source now or when it is imported; nothing is imported for it."""
        for source in SOURCES:
            when_imported(source.module, functools.partial(self._wrap, source))

    def remove(self) -> None:
        """Put the libraries' own methods back."""
        while self._originals:
            owner, method, original = self._originals.pop()
            setattr(owner, method, original)

    def _wrap(self, source: Source) -> None:
        owner = getattr(
            sys.modules.get(source.module) or importlib.import_module(source.module), source.owner, None
        )
        original = getattr(owner, source.method, None)
        if owner is None or original is None:
            return  # another version of the library, which has no such method

        @functools.wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if getattr(self._within, "a_call", False):
                return original(*args, **kwargs)
            self._within.a_call = True
            try:
                answer = original(*args, **kwargs)
            finally:
                self._within.a_call = False
            self._take(source.read, args, kwargs)
            return answer

        self._originals.append((owner, source.method, original))
        setattr(owner, source.method, wrapped)

    def _take(self, read: Read, args: Any, kwargs: Any) -> None:
        try:
            metrics, step = read(*args, **kwargs)
        except (TypeError, AttributeError):
            return  # called in a way that this version of ours does not know: the library took it
        numbers = {_free(name): value for name, value in metrics.items() if as_number(value) is not None}
        if numbers:
            self._log(numbers, step)


def _free(name: str) -> str:
    """A metric called ``step`` or ``time`` would be a column of ``metrics.jsonl``."""
    return f"{name}_" if name in ("step", "time") else name


def _flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in data.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
