"""Whose version a dataset has, if anybody's."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from repro_hydra.data import annex, dvc, hub
from repro_hydra.data.cache import StatCache
from repro_hydra.data.foreign import CheckedOnce, Foreign

LEFT_OUT: frozenset[tuple[str, ...]] = frozenset({(), hub.WORKING_FILES})
"""What a record of theirs may have in `ignore`; a user's own patterns make it a dataset of ours."""


def taken_over(
    path: Path, *, cache: StatCache | None, paranoid: bool = False, clock: Callable[[], int] = time.time_ns
) -> Foreign | None:
    """The version that DVC, git-annex or Hugging Face gave to what lies at `path`; None where none of them did.

    Parameters
    ----------
    paranoid : bool
        Check every content by its hash, also where it was checked before and nobody seems to have written to it.

    Raises
    ------
    DataError
        One of them has, and what lies there is something else.
    """
    known = CheckedOnce(None if paranoid else cache, clock)
    tracked = dvc.find_tracked(path)
    if tracked is not None and path.exists():
        return dvc.check(tracked, known, ask_dvc=not paranoid)
    return (
        annex.find_file(path, full=paranoid)
        or hub.find_snapshot(path, known)
        or hub.find_saved(path, cache=cache, paranoid=paranoid)
    )
