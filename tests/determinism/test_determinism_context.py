"""`repro_hydra.deterministic`: in force within, and everything as it was found after. In processes of their own."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from scenarios import told_by

import repro_hydra

BEGIN = """
import json, os, sys
import threadpoolctl
from repro_hydra import deterministic

def state():
    import torch
    new = [torch._C._get_fp32_precision_getter(*place)
           for place in (("cuda", "matmul"), ("cuda", "conv"), ("cuda", "rnn"), ("mkldnn", "matmul"))]
    b = torch.backends
    return [
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory, torch.get_num_threads(),
        torch.get_num_interop_threads(), b.cudnn.deterministic, b.cudnn.benchmark, b.mkldnn.deterministic, *new,
        torch._C._get_cublas_allow_fp16_reduced_precision_reduction(),
        torch._C._get_cublas_allow_bf16_reduced_precision_reduction(), b.cuda.matmul.allow_fp16_accumulation,
        sorted((p["filepath"], p["num_threads"]) for p in threadpoolctl.threadpool_info()),
        id(torch.use_deterministic_algorithms), id(torch.set_num_threads), id(torch._C._set_cudnn_benchmark),
        len(sys.meta_path), os.environ.get("XLA_FLAGS"),
    ]
"""


def scenario(source: str) -> Any:
    return told_by(BEGIN, source)


def test_what_was_found_comes_back_whatever_it_was() -> None:
    """Also where the program chose otherwise, asked for precision in both of torch's ways, or raised."""
    told = scenario(
        """
        import numpy, torch
        answer = []

        def round_trip(chosen):
            chosen()
            before = state()
            try:
                with deterministic(threads=1) as held:
                    torch.use_deterministic_algorithms(False)
                    torch.backends.cudnn.benchmark = True
                    torch.set_num_threads(2)
                    torch.set_float32_matmul_precision("medium")
                    within = {row.name: row.in_force for row in held.settings}
                    raise KeyError
            except KeyError:
                pass
            names = ("torch.deterministic_algorithms", "cudnn.benchmark", "torch.threads", "precision.matmul")
            answer.append([[within[name] for name in names], state() == before])

        def others():
            torch.use_deterministic_algorithms(True, warn_only=True)
            torch.utils.deterministic.fill_uninitialized_memory = False
            torch.set_num_threads(2)
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
            torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = (False, False)

        def mixed():
            torch.backends.cuda.matmul.fp32_precision = "tf32"
            torch.backends.cudnn.rnn.fp32_precision = "ieee"

        for chosen in (lambda: None, others, mixed):
            round_trip(chosen)
        print(json.dumps(answer))
        """
    )
    assert told == [[[True] * 4, True]] * 3


def test_what_is_imported_within_is_set_and_what_comes_too_late_is_told() -> None:
    """torch that comes later is held to it and given back; the hash seed of a running process is named."""
    told = scenario(
        """
        with deterministic() as held:
            import torch
            within = torch.are_deterministic_algorithms_enabled()
            late = [finding.id for finding in held.not_in_force]
        print(json.dumps([within, torch.are_deterministic_algorithms_enabled(), torch.get_num_interop_threads() > 0,
                          "setting-not-in-force:hash_seed" in late]))
        """
    )
    assert told[0] is True
    assert told[1:3] == [False, True]
    assert told[3] is (sys.flags.hash_randomization == 1)


def test_another_word_is_refused_before_anything_is_set() -> None:
    """The message lists those that there are."""
    with (
        pytest.raises(ValueError, match="torch: expected one of enforce, warn, off, found 'on'"),
        repro_hydra.deterministic(torch="on"),
    ):
        pass
