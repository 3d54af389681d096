"""The file of a checkpoint: whole or not at all, looked at before it is believed, and never run."""

from __future__ import annotations

import collections
import os
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from repro_hydra import CheckpointError, load_checkpoint, rng, save_checkpoint
from repro_hydra.checkpoint.file import Header, read_header, write_checkpoint
from repro_hydra.checkpoint.plain import NotPlain, from_plain, to_plain


def training() -> dict[str, Any]:
    """A model, an optimizer, a scheduler and a scaler that have done two steps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)
    for _ in range(2):
        optimizer.zero_grad()
        model(torch.randn(5, 3)).square().sum().backward()
        optimizer.step()
        scheduler.step()
    return {
        "model": model,
        "optimizer": optimizer,
        "scheduler": scheduler,
        "scaler": torch.amp.GradScaler("cpu"),
    }


def draws() -> list[float]:
    return [random.random(), float(np.random.rand()), float(torch.rand(1)), float(np.random.normal())]


def test_everything_comes_back(place: Path) -> None:
    """Weights, moments, learning rate, gradients, modes, generators of every kind, plain values, where it stood."""
    kept = training()
    kept["model"][3].eval()
    kept["model"][0].bias.requires_grad_(False)
    kept |= {
        "stream": rng("augment", seed=1),
        "own": random.Random(3),
        "torch": torch.Generator().manual_seed(1),
    }
    kept |= {"numbers": {"best": 0.5, "seen": np.int64(3)}, "losses": [0.1, float("nan")]}
    np.random.normal()  # half a pair of normal numbers is waiting
    save_checkpoint(place, epoch=3, step=40, extra={"classes": np.arange(3)}, **kept)
    later = [kept["stream"].random(), kept["own"].random(), torch.rand(1, generator=kept["torch"]).item()]
    expected = draws()
    kept["numbers"]["best"] = 9.9
    kept["losses"].append(1.0)
    fresh = training() | {key: kept[key] for key in ("stream", "own", "torch", "numbers", "losses")}
    for parameter in fresh["model"].parameters():
        parameter.data.zero_()
    loaded = load_checkpoint(place, **fresh)
    assert (loaded.epoch, loaded.step, loaded.extra["classes"].tolist()) == (3, 40, [0, 1, 2])
    assert draws() == expected
    assert [
        kept["stream"].random(),
        kept["own"].random(),
        torch.rand(1, generator=kept["torch"]).item(),
    ] == later
    assert (fresh["numbers"]["best"], fresh["numbers"]["seen"], len(fresh["losses"])) == (0.5, 3, 2)
    for mine, theirs in zip(fresh["model"].parameters(), kept["model"].parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert torch.equal(mine.grad, theirs.grad)
        assert mine.requires_grad == theirs.requires_grad
    assert [part.training for part in fresh["model"]] == [True, True, True, False]
    assert fresh["scheduler"].get_last_lr() == kept["scheduler"].get_last_lr()
    assert torch.equal(
        fresh["optimizer"].state_dict()["state"][1]["exp_avg"],
        kept["optimizer"].state_dict()["state"][1]["exp_avg"],
    )


@pytest.mark.parametrize("spoil", ["truncated", "a bit", "the digest", "empty"])
def test_a_damaged_file_is_told(place: Path, spoil: str) -> None:
    """In one kind of error, before anything was touched."""
    kept = training()
    save_checkpoint(place, **kept)
    data = bytearray(place.read_bytes())
    if spoil == "a bit":
        data[len(data) // 2] ^= 1
    elif spoil == "the digest":
        data[30] = ord("0") if data[30] != ord("0") else ord("1")
    elif spoil == "truncated":
        data = data[:-100]
    else:
        data = bytearray()
    place.write_bytes(data)
    before = kept["model"][0].weight.clone()
    with pytest.raises(CheckpointError, match=r"one\.ckpt: expected .* found"):
        load_checkpoint(place, **kept)
    assert torch.equal(kept["model"][0].weight, before)


def test_what_is_no_checkpoint_is_told(place: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="found none"):
        load_checkpoint(tmp_path / "nothing.ckpt")
    torch.save({"a": 1}, place)
    with pytest.raises(CheckpointError, match="found another file"):
        load_checkpoint(place)
    write_checkpoint(place, Header(format=2), {})
    with pytest.raises(CheckpointError, match="expected a checkpoint of format 1, found format 2"):
        load_checkpoint(place)


def test_a_checkpoint_cannot_run_code(place: Path, tmp_path: Path) -> None:
    """One with a right digest and a payload that would: it is refused, and did not run."""

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    write_checkpoint(place, Header(), {"objects": {"model": Trap()}, "random": None})
    with pytest.raises(CheckpointError, match="found what torch refuses to load"):
        load_checkpoint(place)
    assert not (tmp_path / "sprung").exists()
    pickle.loads(pickle.dumps(Trap()))  # the trap itself works
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"model": nn.Linear(3, 4)}, "another model: model.weight: expected it, found nothing"),
        (
            {"model": nn.Sequential(nn.Linear(3, 5))},
            r"model\.0\.weight: expected shape \(5, 3\), found \(4, 3\)",
        ),
        (
            {"optimizer": torch.optim.Adam(nn.Linear(1, 1).parameters())},
            r"optimizer: expected .* \[2\] .* found",
        ),
        ({"second": nn.Linear(1, 1)}, "expected a checkpoint of"),
    ],
)
def test_other_objects_are_told_before_any_is_touched(place: Path, other: dict[str, Any], words: str) -> None:
    kept = training()
    save_checkpoint(place, **kept)
    target = training() | other
    target["model"].requires_grad_(False).zero_grad()
    for parameter in target["model"].parameters():
        parameter.data.fill_(7.0)
    with pytest.raises(CheckpointError, match=words):
        load_checkpoint(place, **target)
    assert all(bool((parameter == 7.0).all()) for parameter in target["model"].parameters())


def test_an_optimizer_of_a_wider_model_is_told(place: Path) -> None:
    """torch itself would take it, and fail at the next step."""
    narrow, wide = nn.Linear(3, 2), nn.Linear(5, 2)
    optimizer = torch.optim.Adam(narrow.parameters())
    narrow(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_checkpoint(place, optimizer=optimizer)
    with pytest.raises(CheckpointError, match=r"exp_avg: expected shape \(2, 5\), found \(2, 3\)"):
        load_checkpoint(place, optimizer=torch.optim.Adam(wide.parameters()))


def test_what_cannot_be_kept_is_named(place: Path) -> None:
    """And the file that was there stays as it is."""
    save_checkpoint(place, numbers={"a": 1})
    with pytest.raises(CheckpointError, match=r"model: expected an object with state_dict.* found function"):
        save_checkpoint(place, model=draws)
    with pytest.raises(NotPlain, match=r"numbers\.deep\.0: expected tensors.* found builtins\.object"):
        save_checkpoint(place, numbers={"deep": [object()]})
    numbers: dict[str, Any] = {}
    load_checkpoint(place, numbers=numbers)
    assert numbers == {"a": 1}


def test_a_writer_that_is_killed_leaves_the_old_file(place: Path) -> None:
    """Killed while torch writes: the name still holds the checkpoint before."""
    save_checkpoint(place, numbers={"a": 1})
    code = (
        "import os, sys, torch\n"
        "from repro_hydra import save_checkpoint\n"
        "import repro_hydra.checkpoint.file as file\n"
        "class Dying(file._Hashing):\n"
        "    def write(self, data):\n"
        "        if self._stream.tell() > 5000: os.kill(os.getpid(), 9)\n"
        "        return super().write(data)\n"
        "file._Hashing = Dying\n"
        "save_checkpoint(sys.argv[1], numbers={'a': torch.zeros(100000)})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place)], timeout=60)
    assert done.returncode == -9
    assert len(list(place.parent.iterdir())) == 2  # the torn file lies beside it
    assert read_header(place).torch == torch.__version__
    numbers: dict[str, Any] = {}
    load_checkpoint(place, numbers=numbers)
    assert numbers == {"a": 1}


def test_an_old_torch_is_warned_of(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_checkpoint(place, numbers={})
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.warns(UserWarning, match="known ways around weights_only"):
        load_checkpoint(place, numbers={})


@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.1), np.arange(6).reshape(2, 3)[:, ::2], np.array(True), {1, 2}, frozenset("ab"),
        collections.deque([1, 2], maxlen=3), collections.Counter("aab"), (1, [2.0, None], {"k": b"x"}), 1 + 2j,
    ],
)  # fmt: skip
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    """Through a file, with their types."""
    import io

    stream = io.BytesIO()
    torch.save(to_plain(value, "value"), stream)
    stream.seek(0)
    back = from_plain(torch.load(stream, weights_only=True))
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert np.array_equal(back, value)
    else:
        assert back == value


def test_a_view_does_not_drag_its_storage_along(place: Path) -> None:
    whole = torch.zeros(1_000_000)
    save_checkpoint(place, numbers={"one": whole[:1]}, random=False)
    assert place.stat().st_size < 10_000


def test_the_same_state_gives_the_same_file(place: Path) -> None:
    """A reproduction's checkpoint is compared with the original's byte by byte."""
    first = save_checkpoint(place, epoch=1, **training()).read_bytes()
    assert save_checkpoint(place.with_name("other.ckpt"), epoch=1, **training()).read_bytes() == first
