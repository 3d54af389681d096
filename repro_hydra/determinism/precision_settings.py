"""The rows that say whether float32 means float32: TF32, bfloat16 in its place, sums in reduced precision.

torch has an old way of asking for these (``allow_tf32``, ``set_float32_matmul_precision``) and since 2.9 a new one
(``fp32_precision``). Where a program used both, the old getters raise; the new ones never do. So the new ones are
asked where they are there, and the old ones set, which brings both into line.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from repro_hydra.config import DeterminismConf, Precision
from repro_hydra.determinism.setting import ANY, JSON, Setting, torch_module

EXACT = ("ieee", "none")
"""The values of ``fp32_precision`` that leave float32 whole."""


def _full(value: JSON) -> Callable[[DeterminismConf], JSON]:
    return lambda options: value if options.precision is Precision.full else None


def _fp32(backend: str, operation: str, old: Callable[[Any], JSON]) -> Callable[[], JSON]:
    """``ieee``, ``tf32`` or ``bf16``: the effective precision of the operation."""

    def probe() -> JSON:
        torch = torch_module()
        ask = getattr(torch._C, "_get_fp32_precision_getter", None)
        found = old(torch) if ask is None else ask(backend, operation)
        return "ieee" if found in EXACT else found

    return probe


def _old_matmul(torch: Any) -> JSON:
    return {"highest": "ieee", "high": "tf32", "medium": "bf16"}[torch.get_float32_matmul_precision()]


def _old_cudnn(torch: Any) -> JSON:
    return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"


def _set_matmul(asked: JSON) -> None:
    torch_module().set_float32_matmul_precision({"ieee": "highest", "tf32": "high", "bf16": "medium"}[asked])


def _set_cudnn(asked: JSON) -> None:
    torch_module()._C._set_cudnn_allow_tf32(asked == "tf32")


_PLACES = (("generic", "all"), ("cuda", "matmul"), ("cuda", "conv"), ("cuda", "rnn"), ("mkldnn", "matmul"))


def _remember_fp32() -> Callable[[], None]:
    """Both ways of asking: the old switches, where they can be read, and what the new ones said."""
    torch = torch_module()
    ask = getattr(torch._C, "_get_fp32_precision_getter", None)
    new = {} if ask is None else {place: ask(*place) for place in _PLACES}
    matmul = _or_none(torch.get_float32_matmul_precision)
    cudnn = _or_none(torch._C._get_cudnn_allow_tf32)

    def bring_back() -> None:
        if matmul is not None:
            torch.set_float32_matmul_precision(matmul)
        if cudnn is not None:
            torch._C._set_cudnn_allow_tf32(cudnn)
        for place, value in new.items():
            if ask is not None and ask(*place) != value:
                torch._C._set_fp32_precision_setter(*place, value)

    return bring_back


def _or_none(ask: Callable[[], JSON]) -> JSON:
    try:
        return ask()
    except RuntimeError:  # the program used both ways
        return None


def _remember_reduced(kind: str) -> Callable[[], Callable[[], None]]:
    def remember() -> Callable[[], None]:
        torch = torch_module()
        name = f"cublas_allow_{kind}_reduced_precision_reduction"
        found = getattr(torch._C, f"_get_{name}")()
        setter = getattr(torch._C, f"_set_{name}")
        return partial(setter, *found) if isinstance(found, tuple) else partial(setter, found)

    return remember


def _reduced(name: str) -> Callable[[], JSON]:
    def probe() -> JSON:
        found = getattr(torch_module().backends.cuda.matmul, name)
        return found[0] if isinstance(found, tuple) else found  # with whether split-k may be used, since 2.10

    return probe


def _set_reduced(name: str) -> Callable[[JSON], None]:
    return lambda asked: setattr(torch_module().backends.cuda.matmul, name, asked)


def _row(
    name: str, why: str, how: str, asked: JSON, probe: Callable[[], JSON], apply: Callable[[JSON], None],
    usual: JSON = ANY, remember: Callable[[], Callable[[], None]] | None = _remember_fp32,
    there: Callable[[], bool] = lambda: True,
) -> Setting:  # fmt: skip
    full = _full(asked)
    return Setting(
        name=name,
        why=why,
        when="any time",
        how_probed=how,
        library="torch",
        option="precision",
        asked=lambda options: full(options) if there() else None,
        probe=probe,
        apply=apply,
        usual=usual,
        remember=remember,
    )


_MATMUL = "in how many bits products of float32 matrices are taken"
_CONVOLUTION = "in how many bits convolutions of float32 are taken; torch begins with TF32"
_SUMS = "in how many bits the partial sums of half-precision products are added"

PRECISION_SETTINGS: tuple[Setting, ...] = (
    _row(
        "precision.matmul",
        _MATMUL,
        "torch.backends.cuda.matmul.fp32_precision, before 2.9 torch.get_float32_matmul_precision()",
        "ieee",
        _fp32("cuda", "matmul", _old_matmul),
        _set_matmul,
        usual="ieee",
    ),
    _row(
        "precision.cpu_matmul",
        _MATMUL,
        "torch.backends.mkldnn.matmul.fp32_precision, before 2.9 torch.get_float32_matmul_precision()",
        "ieee",
        _fp32("mkldnn", "matmul", _old_matmul),
        _set_matmul,
        usual="ieee",
    ),
    _row(
        "precision.cudnn_convolution",
        _CONVOLUTION,
        "torch.backends.cudnn.conv.fp32_precision, before 2.9 torch.backends.cudnn.allow_tf32",
        "ieee",
        _fp32("cuda", "conv", _old_cudnn),
        _set_cudnn,
    ),
    _row(
        "precision.cudnn_recurrent",
        _CONVOLUTION.replace("convolutions", "recurrent layers"),
        "torch.backends.cudnn.rnn.fp32_precision, before 2.9 torch.backends.cudnn.allow_tf32",
        "ieee",
        _fp32("cuda", "rnn", _old_cudnn),
        _set_cudnn,
    ),
    *(
        _row(
            f"precision.{kind}_reduction",
            _SUMS,
            f"torch.backends.cuda.matmul.allow_{kind}_reduced_precision_reduction",
            False,
            _reduced(f"allow_{kind}_reduced_precision_reduction"),
            _set_reduced(f"allow_{kind}_reduced_precision_reduction"),
            remember=_remember_reduced(kind),
        )
        for kind in ("fp16", "bf16")
    ),
    _row(
        "precision.fp16_accumulation",
        _SUMS,
        "torch.backends.cuda.matmul.allow_fp16_accumulation",
        False,
        lambda: getattr(torch_module().backends.cuda.matmul, "allow_fp16_accumulation", None),
        _set_reduced("allow_fp16_accumulation"),
        usual=False,
        remember=None,
        there=lambda: hasattr(torch_module().backends.cuda.matmul, "allow_fp16_accumulation"),  # since 2.7
    ),
)
