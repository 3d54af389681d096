"""The rows that concern torch: its algorithms, threads, back ends and compiler."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from repro_hydra.config import DeterminismConf, TorchDeterminism
from repro_hydra.determinism.interpreter import initial_environment, required_variables
from repro_hydra.determinism.setting import JSON, Setting, recorded, torch_module

_INDUCTOR = "torch._inductor.config"
_CBWR_BRANCH = 1
_CBWR = {
    1: "OFF", 2: "AUTO", 3: "COMPATIBLE", 4: "SSE2", 5: "SSE3", 6: "SSSE3", 7: "SSE4_1", 8: "SSE4_2", 9: "AVX",
    10: "AVX2", 11: "AVX512_MIC", 12: "AVX512", 13: "AVX512_MIC_E1", 14: "AVX512_E1",
}  # fmt: skip
"""mkl_types.h, MKL_CBWR_…"""


def _algorithms() -> JSON:
    torch = torch_module()
    if not torch.are_deterministic_algorithms_enabled():
        return TorchDeterminism.off.value
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    return (TorchDeterminism.warn if warn_only else TorchDeterminism.enforce).value


def _set_algorithms(asked: JSON) -> None:
    torch = torch_module()
    on, warn_only = asked != TorchDeterminism.off.value, asked == TorchDeterminism.warn.value
    setter = getattr(torch._C, "_set_deterministic_algorithms", None)
    if setter is None or _INDUCTOR in sys.modules:
        torch.use_deterministic_algorithms(on, warn_only=warn_only)
    else:
        # The public function imports Inductor for its one flag, for 1.2 s that many tasks never need (torch 2.13,
        # torch/__init__.py). The flag has a row of its own below, and is set when Inductor is imported.
        setter(on, warn_only=warn_only)


def _wanted(options: DeterminismConf) -> bool | None:
    return None if options.torch is TorchDeterminism.off else True


def _unwanted(options: DeterminismConf) -> bool | None:
    return None if options.torch is TorchDeterminism.off else False


def _interop_threads(options: DeterminismConf) -> int | None:
    # Where nobody stands before the switch (see guard.py), the program's own call would raise after ours.
    return options.threads if options.torch is TorchDeterminism.enforce else None


def _backend(backend: str, name: str) -> Callable[[], JSON]:
    return lambda: getattr(getattr(torch_module().backends, backend), name)


def _set_backend(backend: str, name: str) -> Callable[[JSON], None]:
    return lambda asked: setattr(getattr(torch_module().backends, backend), name, asked)


def _inductor(name: str) -> Callable[[], JSON]:
    return lambda: getattr(sys.modules[_INDUCTOR], name, None)


def _if_there(
    there: Callable[[], bool], asked: Callable[[DeterminismConf], JSON]
) -> Callable[[DeterminismConf], JSON]:
    return lambda options: asked(options) if there() else None


def _cpu_capability() -> JSON:
    return torch_module().backends.cpu.get_cpu_capability()


def _mkl_mode() -> JSON:
    """MKL's own answer; it is linked into torch's library, and elsewhere a library of its own."""
    import ctypes  # late: torch itself has imported it by now

    library = Path(torch_module().__file__).parent / "lib" / "libtorch_cpu.so"
    for place, symbol in ((library, "mkl_serv_cbwr_get"), (None, "MKL_CBWR_Get")):
        if place is None or place.exists():
            ask: Any = getattr(ctypes.CDLL(None if place is None else str(place)), symbol, None)
            if ask is not None:
                return _CBWR.get(ask(_CBWR_BRANCH), "unknown")
    return None


def _mkl_wanted(options: DeterminismConf) -> JSON:
    wanted = required_variables(options, initial_environment()).get("MKL_CBWR")
    # "AVX2,STRICT" is a branch and a flag.
    return None if wanted is None or _mkl_mode() is None else wanted.partition(",")[0]


TORCH_SETTINGS: tuple[Setting, ...] = (
    Setting(
        name="torch.threads",
        why="how reductions are split, and so rounded",
        when="any time",
        how_probed="torch.get_num_threads()",
        library="torch",
        option="threads",
        asked=lambda options: options.threads,
        probe=lambda: torch_module().get_num_threads(),
        apply=lambda asked: torch_module().set_num_threads(asked),
    ),
    Setting(
        name="torch.interop_threads",
        why="in which order tasks that run beside each other (torch.jit.fork) draw numbers and add",
        when="once, before the first of them",
        how_probed="torch.get_num_interop_threads()",
        library="torch",
        option="threads",
        asked=_interop_threads,
        probe=lambda: torch_module().get_num_interop_threads(),
        apply=lambda asked: torch_module().set_num_interop_threads(asked),
        mend=lambda: "Take the call out of the script's top",
        lasting=True,
    ),
    Setting(
        name="mkl.reproducibility",
        why="which code MKL takes, which otherwise depends on how memory happens to be aligned",
        when="before MKL's first call",
        how_probed="MKL_CBWR_Get, asked of the library",
        library="torch",
        option="mkl_cbwr",
        asked=_mkl_wanted,
        probe=_mkl_mode,
    ),
    Setting(
        name="torch.cpu_capability",
        why="which instructions the kernels use: with others the same seed gives other numbers, also in randn",
        when="before the first operator that dispatches",
        how_probed="torch.backends.cpu.get_cpu_capability()",
        library="torch",
        option="cpu_capability",
        asked=lambda options: (
            None if options.cpu_capability is None else options.cpu_capability.value.upper()
        ),
        probe=_cpu_capability,
        mend=lambda: (
            "Where this CPU has no more: hydra.callbacks.repro.determinism.cpu_capability=avx2, or =default"
        ),
    ),
    recorded(
        "torch.default_dtype",
        why="the type of new tensors, which is the program's own business",
        how_probed="torch.get_default_dtype()",
        library="torch",
        probe=lambda: str(torch_module().get_default_dtype()).removeprefix("torch."),
    ),
    Setting(
        name="torch.deterministic_algorithms",
        why="whether scatter, index_add and others add in the order in which threads come by",
        when="any time",
        how_probed="torch.are_deterministic_algorithms_enabled() and torch.is_…_warn_only_enabled()",
        library="torch",
        option="torch",
        asked=lambda options: None if options.torch is TorchDeterminism.off else options.torch.value,
        probe=_algorithms,
        apply=_set_algorithms,
        holds=lambda asked, found: found in (asked, TorchDeterminism.enforce.value),
        usual="off",
    ),
    Setting(
        name="torch.fill_uninitialized_memory",
        why="whether torch.empty shows what lay in memory before",
        when="any time",
        how_probed="torch.utils.deterministic.fill_uninitialized_memory",
        library="torch",
        option="torch",
        asked=_wanted,
        probe=lambda: torch_module().utils.deterministic.fill_uninitialized_memory,
        apply=lambda asked: setattr(torch_module().utils.deterministic, "fill_uninitialized_memory", asked),
        usual=True,
    ),
    Setting(
        name="cudnn.deterministic",
        why="whether cuDNN takes convolutions that add with atomics",
        when="any time",
        how_probed="torch.backends.cudnn.deterministic",
        library="torch",
        option="torch",
        asked=_wanted,
        probe=_backend("cudnn", "deterministic"),
        apply=_set_backend("cudnn", "deterministic"),
    ),
    Setting(
        name="cudnn.benchmark",
        why="whether cuDNN picks the algorithm that was fastest just now",
        when="before the first convolution",
        how_probed="torch.backends.cudnn.benchmark",
        library="torch",
        option="torch",
        asked=_unwanted,
        probe=_backend("cudnn", "benchmark"),
        apply=_set_backend("cudnn", "benchmark"),
        usual=False,
    ),
    Setting(
        name="mkldnn.deterministic",
        why="whether oneDNN takes primitives that may add in any order",
        when="any time",
        how_probed="torch.backends.mkldnn.deterministic",
        library="torch",
        option="torch",
        asked=_if_there(lambda: hasattr(torch_module().backends.mkldnn, "deterministic"), _wanted),
        probe=lambda: getattr(torch_module().backends.mkldnn, "deterministic", None),
        apply=_set_backend("mkldnn", "deterministic"),
    ),
    *(
        recorded(
            f"sdpa.{name}",
            why="which kernel computes attention; deterministic algorithms, enforced, make the backward of flash and "
            "memory-efficient attention deterministic and leave cuDNN's out",
            how_probed=f"torch.backends.cuda.{name}_sdp_enabled()",
            library="torch",
            probe=lambda name=name: getattr(torch_module().backends.cuda, f"{name}_sdp_enabled")(),  # type: ignore[misc]
        )
        for name in ("flash", "mem_efficient", "cudnn", "math")
    ),
    Setting(
        name="inductor.deterministic",
        why="whether torch.compile picks the kernels that were fastest just now",
        when="before the first compilation",
        how_probed="torch._inductor.config.deterministic",
        library=_INDUCTOR,
        option="torch",
        asked=_if_there(lambda: hasattr(sys.modules[_INDUCTOR], "deterministic"), _wanted),
        probe=_inductor("deterministic"),
        apply=lambda asked: setattr(sys.modules[_INDUCTOR], "deterministic", asked),
    ),
    recorded(
        "inductor.max_autotune",
        why="whether torch.compile times kernels against each other",
        how_probed="torch._inductor.config.max_autotune",
        library=_INDUCTOR,
        probe=_inductor("max_autotune"),
    ),
)
