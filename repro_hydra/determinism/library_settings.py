"""The rows that concern the other numeric libraries: BLAS, JAX and TensorFlow."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from repro_hydra.config import DeterminismConf, TorchDeterminism
from repro_hydra.determinism.setting import JSON, Setting, recorded

_XLA_FLAG = "--xla_gpu_deterministic_ops"
_CPU_ONLY = "no GPU"


def _blas(key: str) -> list[Any]:
    import threadpoolctl

    return [pool[key] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]


def _blas_threads() -> JSON:
    return max(_blas("num_threads"), default=None)


def _blas_kernel() -> JSON:
    return ", ".join(sorted({str(name) for name in _blas("architecture") if name})) or None


def _limit_blas(asked: JSON) -> None:
    import threadpoolctl

    threadpoolctl.threadpool_limits(limits=asked, user_api="blas")


def _remember_blas() -> Callable[[], None]:
    import threadpoolctl

    libraries = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    counts = [(library, library.get_num_threads()) for library in libraries]

    def bring_back() -> None:
        for library, count in counts:
            library.set_num_threads(count)

    return bring_back


def _remember_xla() -> Callable[[], None]:
    before = os.environ.get("XLA_FLAGS")

    def bring_back() -> None:
        if before is None:
            os.environ.pop("XLA_FLAGS", None)
        else:
            os.environ["XLA_FLAGS"] = before

    return bring_back


def _enforced(options: DeterminismConf) -> bool | None:
    return True if options.torch is TorchDeterminism.enforce else None


def _xla_backends() -> list[str] | None:
    """The platforms that XLA has started; None before it has."""
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge is None or not bridge.backends_are_initialized():
        return None
    return sorted(str(name) for name in bridge.backends())


def _xla() -> JSON:
    """What XLA read when it started, or will read."""
    backends = _xla_backends()
    if backends is not None and not {"gpu", "cuda", "rocm"} & set(backends):
        return _CPU_ONLY
    flags = os.environ.get("XLA_FLAGS", "").split()
    chosen = [flag.partition("=")[2] for flag in flags if flag.partition("=")[0] == _XLA_FLAG]
    return bool(chosen) and chosen[-1].lower() in ("", "true", "1")


def _set_xla(asked: JSON) -> None:
    if asked is not True or _xla() is True:
        return
    if _xla_backends() is not None:
        raise RuntimeError("XLA has started already, and reads its flags only then")
    os.environ["XLA_FLAGS"] = " ".join([*os.environ.get("XLA_FLAGS", "").split(), f"{_XLA_FLAG}=true"])


def _tensorflow_config() -> Any:
    return sys.modules["tensorflow.python.framework.config"]


def _set_tensorflow(asked: JSON) -> None:
    config = _tensorflow_config()
    (config.enable_op_determinism if asked else config.disable_op_determinism)()


def _tensorflow_threads() -> JSON:
    return sys.modules["tensorflow"].config.threading.get_intra_op_parallelism_threads()


def _set_tensorflow_threads(asked: JSON) -> None:
    sys.modules["tensorflow"].config.threading.set_intra_op_parallelism_threads(asked)


LIBRARY_SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="blas.threads",
        why="in which order matrix products are summed",
        when="any time, from the calling thread",
        how_probed="threadpoolctl, which asks the loaded libraries",
        library="numpy",
        option="threads",
        asked=lambda options: options.threads,
        probe=_blas_threads,
        apply=_limit_blas,
        remember=_remember_blas,
        holds=lambda asked, found: found is None or found == asked,
    ),
    recorded(
        "blas.kernel",
        why="which instructions the kernels of BLAS use",
        how_probed="threadpoolctl, which asks the loaded libraries",
        library="numpy",
        probe=_blas_kernel,
    ),
    Setting(
        name="jax.deterministic_ops",
        why="whether XLA takes GPU kernels that add with atomics",
        when="before XLA starts, at JAX's first array",
        how_probed=f"XLA_FLAGS has {_XLA_FLAG}, and XLA read it; nothing to set where XLA found no GPU",
        library="jax",
        option="torch",
        asked=_enforced,
        probe=_xla,
        apply=_set_xla,
        remember=_remember_xla,
        holds=lambda _asked, found: found in (True, _CPU_ONLY),
    ),
    recorded(
        "jax.matmul_precision",
        why="in how many bits JAX's products of float32 are taken",
        how_probed="jax.config.jax_default_matmul_precision",
        library="jax",
        probe=lambda: sys.modules["jax"].config.jax_default_matmul_precision,
    ),
    Setting(
        name="tensorflow.op_determinism",
        why="whether TensorFlow takes kernels that add in any order, and runs tf.data in any order",
        when="before the first operator",
        how_probed="tensorflow.python.framework.config.is_op_determinism_enabled()",
        library="tensorflow",
        option="torch",
        asked=_enforced,
        probe=lambda: _tensorflow_config().is_op_determinism_enabled(),
        apply=_set_tensorflow,
        usual=False,
    ),
    Setting(
        name="tensorflow.threads",
        why="how reductions are split, and so rounded",
        when="before the first operator",
        how_probed="tf.config.threading.get_intra_op_parallelism_threads()",
        library="tensorflow",
        option="threads",
        asked=lambda options: options.threads,
        probe=_tensorflow_threads,
        apply=_set_tensorflow_threads,
        usual=0,
        lasting=True,
    ),
)
