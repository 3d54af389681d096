"""`AskedFor` stands in for a loader, also where somebody copies or pickles it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from repro_hydra.checkpoint.asked_for import AskedFor
from repro_hydra.checkpoint.trainer_state import _moved


def nothing(*_: Any) -> Any:
    return {}


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_copy_is_the_same_loader(again: Any) -> None:
    """Its attributes are the loader's own, and none may be looked for in a loader that is not there yet."""
    made = again(AskedFor([1, 2, 3], nothing, nothing, nothing))
    assert isinstance(made, AskedFor)
    assert list(made) == [1, 2, 3]
    assert len(made) == 3


def test_what_a_checkpoint_holds_goes_where_the_metric_computes() -> None:
    """Seen with torch's device without memory, since no other is here; a GPU was never tried."""
    away = torch.device("meta")
    moved = _moved({"total": torch.zeros(2), "seen": [torch.zeros(1)], "count": 3}, away)
    assert moved["total"].device == away
    assert moved["seen"][0].device == away
    assert moved["count"] == 3
