"""The metrics of a job that has ended, wherever it left them."""

from __future__ import annotations

from typing import Any

from hydra.core.utils import JobReturn
from omegaconf import OmegaConf

from repro_hydra.record.find import read_result
from repro_hydra.record.store import RecordError
from repro_hydra.record.values import flatten_result


def metrics_of(result: JobReturn) -> dict[str, Any]:
    """What the task returned; where that is nothing, what it has logged as its result."""
    metrics, _ = flatten_result(result._return_value)
    if metrics:
        return metrics
    directory = OmegaConf.select(result.hydra_cfg, "hydra.runtime.output_dir") if result.hydra_cfg else None
    try:
        return (read_result(str(directory)) if directory else None) or {}
    except RecordError:
        return {}
