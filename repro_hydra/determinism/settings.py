"""Every setting in one table: its name, why it matters, when it must be set, how to set and how to probe it.

The config, ``determinism.json`` and the documentation are made from it. A probe asks the library that acts on
the setting, or looks at what the interpreter does; it never echoes what was asked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from repro_hydra.config import DeterminismConf, TorchDeterminism
from repro_hydra.determinism.interpreter import (
    CUBLAS_DETERMINISTIC,
    HASH_SEED,
    THREAD_VARIABLES,
    initial_environment,
)

JSON = Any
_INDUCTOR = "torch._inductor.config"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table."""

    name: str
    why: str
    when: str
    """The last moment at which setting it has an effect."""
    how_probed: str
    library: str | None
    """The module that must be imported before it can be set or probed; None: the interpreter alone."""
    asked: Callable[[DeterminismConf], JSON]
    """What the options want; None: left as it is."""
    probe: Callable[[], JSON]
    apply: Callable[[JSON], None] | None = None
    """None where only the environment at the interpreter's start can set it."""
    holds: Callable[[JSON, JSON], bool] = lambda asked, found: bool(asked == found)


def _torch() -> Any:
    return sys.modules["torch"]


def _probe_hash_seed() -> JSON:
    # The flag is what the interpreter made of the variable; -I and -E make it ignore it.
    return (
        "random"
        if sys.flags.hash_randomization and not _fixed_hash_seed()
        else _fixed_hash_seed() or HASH_SEED
    )


def _fixed_hash_seed() -> str | None:
    value = initial_environment().get("PYTHONHASHSEED")
    ignored = sys.flags.ignore_environment
    return value if value is not None and value.isdigit() and not ignored else None


def _probe_torch_algorithms() -> JSON:
    torch = _torch()
    if not torch.are_deterministic_algorithms_enabled():
        return TorchDeterminism.off.value
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return (TorchDeterminism.warn if warn_only else TorchDeterminism.enforce).value


def _apply_torch_algorithms(asked: JSON) -> None:
    torch = _torch()
    warn_only = asked == TorchDeterminism.warn.value
    setter = getattr(torch._C, "_set_deterministic_algorithms", None)
    if setter is None or _INDUCTOR in sys.modules:
        torch.use_deterministic_algorithms(True, warn_only=warn_only)
    else:
        # The public function imports Inductor for its one flag, for 1.2 s that many tasks never need (torch 2.13,
        # torch/__init__.py). The flag has a row of its own below, and is set when Inductor is imported.
        setter(True, warn_only=warn_only)


def _torch_wanted(options: DeterminismConf) -> bool | None:
    return None if options.torch is TorchDeterminism.off else True


def _threads_of_blas() -> JSON:
    """The largest thread count among the BLAS libraries that are loaded, asked of the libraries themselves."""
    import threadpoolctl

    counts = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    return max(counts, default=None)


def _limit_blas(asked: JSON) -> None:
    import threadpoolctl

    threadpoolctl.threadpool_limits(limits=asked, user_api="blas")


def _variable_at_start(name: str) -> Callable[[], JSON]:
    return lambda: initial_environment().get(name)


def _set_cudnn(name: str) -> Callable[[JSON], None]:
    return lambda asked: setattr(_torch().backends.cudnn, name, asked)


SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="hash_seed",
        why="the order in which sets and dictionaries of strings iterate",
        when="before the interpreter starts",
        how_probed="sys.flags.hash_randomization and the environment at the interpreter's start",
        library=None,
        asked=lambda options: HASH_SEED if options.interpreter else None,
        probe=_probe_hash_seed,
    ),
    *(
        Setting(
            name=f"environment.{variable}",
            why="sums are taken in another order with another number of threads",
            when="before the library is loaded",
            how_probed="the environment at the interpreter's start",
            library=None,
            asked=lambda options: None if options.threads is None else str(options.threads),
            probe=_variable_at_start(variable),
        )
        for variable in THREAD_VARIABLES
    ),
    Setting(
        name="cublas_workspace",
        why="cuBLAS chooses among algorithms by the workspace that is free",
        when="before the first cuBLAS handle",
        how_probed="CUBLAS_WORKSPACE_CONFIG, which torch reads when it makes a handle",
        library=None,
        asked=lambda options: options.cublas_workspace if options.interpreter else None,
        probe=lambda: os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
        holds=lambda _asked, found: found in CUBLAS_DETERMINISTIC,
    ),
    Setting(
        name="blas.threads",
        why="matrix products are summed in another order with another number of threads",
        when="any time, from the calling thread",
        how_probed="threadpoolctl, which asks the loaded libraries",
        library="numpy",
        asked=lambda options: options.threads,
        probe=_threads_of_blas,
        apply=_limit_blas,
        holds=lambda asked, found: found is None or found == asked,
    ),
    Setting(
        name="torch.threads",
        why="reductions are split, and so rounded, otherwise with another number of threads",
        when="any time",
        how_probed="torch.get_num_threads()",
        library="torch",
        asked=lambda options: options.threads,
        probe=lambda: _torch().get_num_threads(),
        apply=lambda asked: _torch().set_num_threads(asked),
    ),
    Setting(
        name="torch.deterministic_algorithms",
        why="scatter, index_add and others add in the order in which threads come by",
        when="any time",
        how_probed="torch.are_deterministic_algorithms_enabled() and torch.is_…_warn_only_enabled()",
        library="torch",
        asked=lambda options: None if options.torch is TorchDeterminism.off else options.torch.value,
        probe=_probe_torch_algorithms,
        apply=_apply_torch_algorithms,
    ),
    Setting(
        name="torch.fill_uninitialized_memory",
        why="torch.empty shows what lay in memory before",
        when="any time",
        how_probed="torch.utils.deterministic.fill_uninitialized_memory",
        library="torch",
        asked=_torch_wanted,
        probe=lambda: _torch().utils.deterministic.fill_uninitialized_memory,
        apply=lambda asked: setattr(_torch().utils.deterministic, "fill_uninitialized_memory", asked),
    ),
    Setting(
        name="cudnn.deterministic",
        why="cuDNN has convolutions that add with atomics",
        when="any time",
        how_probed="torch.backends.cudnn.deterministic",
        library="torch",
        asked=_torch_wanted,
        probe=lambda: _torch().backends.cudnn.deterministic,
        apply=_set_cudnn("deterministic"),
    ),
    Setting(
        name="cudnn.benchmark",
        why="cuDNN picks the algorithm that was fastest just now",
        when="before the first convolution",
        how_probed="torch.backends.cudnn.benchmark",
        library="torch",
        asked=lambda options: None if options.torch is TorchDeterminism.off else False,
        probe=lambda: _torch().backends.cudnn.benchmark,
        apply=_set_cudnn("benchmark"),
    ),
    Setting(
        name="mkldnn.deterministic",
        why="oneDNN has primitives that are faster where they may add in any order",
        when="any time",
        how_probed="torch.backends.mkldnn.deterministic",
        library="torch",
        asked=lambda options: (
            _torch_wanted(options) if hasattr(_torch().backends.mkldnn, "deterministic") else None
        ),
        probe=lambda: getattr(_torch().backends.mkldnn, "deterministic", None),
        apply=lambda asked: setattr(_torch().backends.mkldnn, "deterministic", asked),
    ),
    Setting(
        name="inductor.deterministic",
        why="torch.compile picks the kernels that were fastest just now",
        when="before the first compilation",
        how_probed="torch._inductor.config.deterministic",
        library=_INDUCTOR,
        asked=lambda options: (
            _torch_wanted(options) if hasattr(sys.modules[_INDUCTOR], "deterministic") else None
        ),
        probe=lambda: getattr(sys.modules[_INDUCTOR], "deterministic", None),
        apply=lambda asked: setattr(sys.modules[_INDUCTOR], "deterministic", asked),
    ),
)
