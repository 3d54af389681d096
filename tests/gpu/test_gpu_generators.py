"""What is read from CUDA's generators."""

from __future__ import annotations

import torch

from repro_hydra import seed_everything
from repro_hydra.checkpoint import generators
from repro_hydra.seed.drawn import streams_drawn_from


def test_a_stream_counts_from_its_first_number_on() -> None:
    """By the seed and the place that CUDA's generator keeps."""
    torch.cuda.init()
    assert seed_everything(5)["cuda"] == 5
    assert "cuda" not in streams_drawn_from()
    torch.rand(3, device="cuda")
    assert streams_drawn_from()["cuda"] == "5"


def test_a_checkpoint_holds_every_devices_generator() -> None:
    """And puts it back."""
    torch.cuda.init()
    states = generators.take_global()
    drawn = torch.rand(3, device="cuda")
    generators.put_global(states)
    assert torch.equal(torch.rand(3, device="cuda"), drawn)
