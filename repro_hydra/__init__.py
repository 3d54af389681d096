"""Hydra runs that can be run again.

Importing this package loads neither torch nor SciPy nor GitPython: a public name is fetched when first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repro_hydra.checkpoint.errors import CheckpointError as CheckpointError
    from repro_hydra.checkpoint.keyed import KeyedSampler as KeyedSampler
    from repro_hydra.checkpoint.keyed import keyed as keyed
    from repro_hydra.data import data_add as data_add
    from repro_hydra.data import data_verify as data_verify
    from repro_hydra.determinism import deterministic as deterministic
    from repro_hydra.fingerprint.recorder import fingerprint as fingerprint
    from repro_hydra.model.initial import deterministic_init as deterministic_init
    from repro_hydra.model.same_again import verify_determinism as verify_determinism
    from repro_hydra.reproduce.api import compare as compare
    from repro_hydra.reproduce.api import reproduce as reproduce
    from repro_hydra.reproduce.api import validate_results as validate_results
    from repro_hydra.reproduce.api import verify as verify
    from repro_hydra.seed import seed_everything as seed_everything
    from repro_hydra.seed.streams import rng as rng
    from repro_hydra.session.api import current_run as current_run
    from repro_hydra.session.api import dataset as dataset
    from repro_hydra.session.api import log_metrics as log_metrics
    from repro_hydra.session.api import log_result as log_result
    from repro_hydra.session.api import session as session
    from repro_hydra.session.checkpoints import load_checkpoint as load_checkpoint
    from repro_hydra.session.checkpoints import save_checkpoint as save_checkpoint
    from repro_hydra.session.resume import resumable as resumable
    from repro_hydra.sweep.load import load_run as load_run
    from repro_hydra.sweep.load import load_runs as load_runs

__version__ = "0.1.0"

_HOMES = {
    "data_add": "repro_hydra.data",
    "data_verify": "repro_hydra.data",
    "save_checkpoint": "repro_hydra.session.checkpoints",
    "load_checkpoint": "repro_hydra.session.checkpoints",
    "CheckpointError": "repro_hydra.checkpoint.errors",
    "KeyedSampler": "repro_hydra.checkpoint.keyed",
    "keyed": "repro_hydra.checkpoint.keyed",
    "resumable": "repro_hydra.session.resume",
    "deterministic_init": "repro_hydra.model.initial",
    "verify_determinism": "repro_hydra.model.same_again",
    "fingerprint": "repro_hydra.fingerprint.recorder",
    "seed_everything": "repro_hydra.seed",
    "deterministic": "repro_hydra.determinism",
    "rng": "repro_hydra.seed.streams",
    "session": "repro_hydra.session.api",
    "current_run": "repro_hydra.session.api",
    "dataset": "repro_hydra.session.api",
    "log_metrics": "repro_hydra.session.api",
    "log_result": "repro_hydra.session.api",
    "reproduce": "repro_hydra.reproduce.api",
    "compare": "repro_hydra.reproduce.api",
    "verify": "repro_hydra.reproduce.api",
    "validate_results": "repro_hydra.reproduce.api",
    "load_run": "repro_hydra.sweep.load",
    "load_runs": "repro_hydra.sweep.load",
}
__all__ = [*_HOMES, "__version__"]  # noqa: PLE0604 (all of them are strings)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})  # what a notebook completes after the dot


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("session", "reproduce", "fingerprint"):
        return import_module(f"repro_hydra.{name}")  # which is callable: see there
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found  # a training loop asks for `log_metrics` at each step
    return found
