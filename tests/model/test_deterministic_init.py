"""`deterministic_init`: values by name and seed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from repro_hydra import deterministic_init


def net(extra: bool = False) -> nn.Sequential:
    model = nn.Sequential()
    model.add_module("embed", nn.Embedding(10, 8, padding_idx=2))
    if extra:
        model.add_module("new", nn.Linear(8, 8))
    model.add_module("dense", nn.Linear(8, 16))
    model.add_module("norm", nn.BatchNorm1d(16))
    model.add_module("conv", nn.Conv1d(16, 4, 3))
    model.add_module("lstm", nn.LSTM(4, 6))
    model.add_module("attention", nn.MultiheadAttention(6, 2))
    return model


def test_values_depend_on_name_and_seed_alone() -> None:
    """Not on what was drawn before, nor on the layers around; and another seed gives others."""
    a, b, other = net(), net(extra=True), net()
    deterministic_init(a, 7)
    torch.manual_seed(99)
    deterministic_init(b, 7)
    deterministic_init(other, 8)
    values, others = dict(b.named_parameters()), dict(other.named_parameters())
    drawn = [name for name, p in a.named_parameters() if p.detach().std() > 0 and "norm" not in name]
    assert len(drawn) > 8
    for name, parameter in a.named_parameters():
        assert torch.equal(parameter, values[name]), name
        assert name not in drawn or not torch.equal(parameter, others[name]), name
    assert len({p.flatten()[0].item() for p in a.parameters() if p.detach().std() > 0}) >= len(drawn)


def test_the_process_draws_as_if_nothing_had_happened() -> None:
    """The global generator is where it was, also with a module that draws by itself."""

    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.empty(5))
            self.reset_parameters()

        def reset_parameters(self) -> None:
            nn.init.normal_(self.w)

    model = nn.Sequential(Own(), nn.Linear(2, 2), Own())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    done = deterministic_init(model, 1)
    assert torch.equal(torch.rand(3), expected)
    assert done.how["0.w"] == "Own.reset_parameters"
    first, second = model[0].w, model[2].w
    assert not torch.equal(first, second)
    again = nn.Sequential(Own())
    deterministic_init(again, 1)
    assert torch.equal(again[0].w, first)


def test_each_layer_has_its_proper_distribution() -> None:
    """Norms at ones and zeros with fresh statistics, the padding row at zero, the others within their bounds."""
    model = net()
    model.norm.running_mean.fill_(3.0)
    nn.init.zeros_(model.norm.weight)
    deterministic_init(model, 0)
    assert torch.equal(model.norm.weight, torch.ones(16))
    assert torch.equal(model.norm.bias, torch.zeros(16))
    assert torch.equal(model.norm.running_mean, torch.zeros(16))
    assert torch.equal(model.embed.weight[2], torch.zeros(8))
    bound = 1 / math.sqrt(8)
    assert 0.8 * bound < model.dense.weight.abs().max() <= bound
    assert model.lstm.weight_hh_l0.abs().max() <= 1 / math.sqrt(6)
    assert torch.equal(model.attention.in_proj_bias, torch.zeros(18))
    reference = nn.Linear(400, 400)
    large = nn.Linear(400, 400)
    deterministic_init(large, 3)
    assert large.weight.std().item() == pytest.approx(reference.weight.std().item(), rel=0.02)


@pytest.mark.parametrize(
    "scheme", ["xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"]
)
def test_a_scheme_fills_the_weights(scheme: str) -> None:
    """It is torch's own, drawn by name; biases become zero and norms stay norms."""
    model = net()
    done = deterministic_init(model, 0, scheme=scheme)
    assert done.how["dense.weight"] == scheme
    assert torch.equal(model.dense.bias, torch.zeros(16))
    assert torch.equal(model.norm.weight, torch.ones(16))
    if scheme == "orthogonal":
        product = model.dense.weight.T @ model.dense.weight
        assert torch.allclose(product, torch.eye(8), atol=1e-5)
    deviation = {"xavier_normal": math.sqrt(2 / 24), "kaiming_normal": math.sqrt(2 / 8)}.get(scheme)
    if deviation is not None:
        assert model.dense.weight.std().item() == pytest.approx(deviation, rel=0.25)


def test_tied_weights_are_filled_once() -> None:
    """By the first of their names, so that they stay tied and have that layer's distribution."""

    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(50, 40)
            self.head = nn.Linear(40, 50, bias=False)
            self.head.weight = self.embed.weight

    model, alone = Tied(), nn.ModuleDict({"embed": nn.Embedding(50, 40)})
    done = deterministic_init(model, 2)
    deterministic_init(alone, 2)
    assert list(done.how) == ["embed.weight"]
    assert model.head.weight is model.embed.weight
    assert torch.equal(model.embed.weight, alone["embed"].weight)


def test_what_nobody_knows_how_to_fill_is_named() -> None:
    """A bare parameter without a reset_parameters is left as it was, with a warning that names it."""

    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.full((3,), 0.5))
            self.inner = nn.Linear(2, 2)

    model = Scale()
    with pytest.warns(UserWarning, match="scale: expected a layer of torch's"):
        done = deterministic_init(model, 0)
    assert done.left == ("scale",)
    assert torch.equal(model.scale, torch.full((3,), 0.5))
    assert "inner.weight" in done.how


def test_the_values_are_the_same_in_half_precision() -> None:
    """Drawn once in single precision and rounded: the type does not choose other numbers."""
    single, half = nn.Linear(4, 4), nn.Linear(4, 4).to(torch.float16)
    deterministic_init(single, 0)
    deterministic_init(half, 0)
    assert torch.equal(single.weight.to(torch.float16), half.weight)


@pytest.mark.parametrize(
    ("arguments", "words"), [({"scheme": "he"}, "scheme: expected one of"), ({"seed": -1}, "seed")]
)
def test_misuse_is_told(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        deterministic_init(nn.Linear(1, 1), **arguments)  # type: ignore[arg-type]


def test_a_model_without_memory_is_refused() -> None:
    with pytest.raises(ValueError, match="meta device"):
        deterministic_init(nn.Linear(1, 1, device="meta"), 0)
