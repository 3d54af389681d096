"""What stands in the config groups: the modes, and the options of each group that is composed on top of one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from repro_hydra.config import (
    CodeConf,
    DataConf,
    DeterminismConf,
    EnvironmentConf,
    FingerprintConf,
    FingerprintLevel,
    LogFormat,
    LoggingConf,
    LogLevel,
    MlflowConf,
    Mode,
    Precision,
    ReproConf,
    SeedConf,
    TensorboardConf,
    TorchDeterminism,
    WandbConf,
)  # fmt: skip


def strict_conf() -> ReproConf:
    """Results you publish: a check that fails stops the start."""
    return ReproConf(mode=Mode.strict)


DIFFERENCES: dict[str, dict[str, Any]] = {
    "standard": {
        "mode": Mode.standard,
        "determinism": {
            "torch": TorchDeterminism.warn,
            "threads": None,
            "interpreter": False,
            "precision": Precision.own,
        },
        "fingerprint": {"level": FingerprintLevel.off},
    },
    "record": {
        "mode": Mode.record,
        "seed": {"set": False},
        "determinism": {
            "torch": TorchDeterminism.off,
            "threads": None,
            "interpreter": False,
            "precision": Precision.own,
        },
        "code": {"freeze": False},
        "fingerprint": {"level": FingerprintLevel.off},
    },
}
"""Daily work, and a run that must not change: what sets them apart from strict."""
MODES = ("strict", *DIFFERENCES)

DETERMINISM_OPTIONS = {
    "enforce": DeterminismConf(),
    "warn": DeterminismConf(torch=TorchDeterminism.warn),
    "off": DeterminismConf(
        torch=TorchDeterminism.off, threads=None, interpreter=False, precision=Precision.own
    ),
}
SEED_OPTIONS = {
    "default": SeedConf(),
    "off": SeedConf(set=False),
    "rank_offset": SeedConf(rank_offset=True),
    "ranks_alike": SeedConf(ranks_alike=True),
}
ENVIRONMENT_OPTIONS = {"default": EnvironmentConf()}
DATA_OPTIONS = {"default": DataConf()}
CODE_OPTIONS = {"default": CodeConf(), "off": CodeConf(capture=False)}
FINGERPRINT_OPTIONS = {level.value: FingerprintConf(level=level) for level in FingerprintLevel}
LOGGING_OPTIONS = {
    "default": LoggingConf(),
    "json": LoggingConf(level=LogLevel.INFO, format=LogFormat.json, steps=True),
}
TRACKING_OPTIONS: dict[str, dict[str, Any]] = {
    "none": {},
    "mlflow": {"mlflow": asdict(MlflowConf())},
    "tensorboard": {"tensorboard": asdict(TensorboardConf())},
    "wandb": {"wandb": asdict(WandbConf())},
}
"""Each has a key of its own below `tracking`, so that several add up."""

NESTED_GROUPS: dict[str, dict[str, Any]] = {
    "seed": dict(SEED_OPTIONS),
    "determinism": dict(DETERMINISM_OPTIONS),
    "environment": dict(ENVIRONMENT_OPTIONS),
    "data": dict(DATA_OPTIONS),
    "code": dict(CODE_OPTIONS),
    "fingerprint": dict(FINGERPRINT_OPTIONS),
    "logging": dict(LOGGING_OPTIONS),
    "tracking": dict(TRACKING_OPTIONS),
}
