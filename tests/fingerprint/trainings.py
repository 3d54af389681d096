"""Trainings that are fingerprinted, and how two of them are held against each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

Take = Callable[..., list[dict[str, Any]]]
STAGES = ("batch", "loss", "gradients", "optimizer", "weights")


def network(width: int = 8) -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(4, width), torch.nn.ReLU(), torch.nn.Linear(width, 3))


def data() -> TensorDataset:
    generator = torch.Generator().manual_seed(5)
    return TensorDataset(torch.randn(24, 4, generator=generator), torch.arange(24) % 3)


class Training:
    """A usual loop; each part of it can be spoiled at one step."""

    def __init__(self, **spoiled: Callable[..., Any]) -> None:
        self.spoiled = spoiled
        self.step = 0

    def at(self, stage: str, *given: Any) -> None:
        if stage in self.spoiled and self.step == 2:
            self.spoiled[stage](*given)

    def __call__(self) -> None:
        torch.manual_seed(3)
        np.random.seed(3)
        model = network()
        self.at_start(model)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for x, y in DataLoader(data(), 4, shuffle=True):
            self.at("rng")
            loss = functional.cross_entropy(model(x), y)
            if "loss" in self.spoiled and self.step == 2:
                loss = self.spoiled["loss"](loss)
            optimizer.zero_grad()
            loss.backward()
            self.at("gradients", model)
            self.at("optimizer", optimizer)
            optimizer.step()
            self.step += 1

    def at_start(self, model: torch.nn.Module) -> None:
        if "initial_weights" in self.spoiled:
            self.spoiled["initial_weights"](model)


def first_difference(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> tuple[int, list[str]]:
    for one, other in zip(a, b, strict=True):
        if one != other:
            return one["step"], [key for key in one if one[key] != other[key]]
    raise AssertionError("no difference")
