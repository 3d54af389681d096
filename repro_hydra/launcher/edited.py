"""A script of a sweep in place that ends before its task: perhaps somebody was editing it."""

from __future__ import annotations

import os
from pathlib import Path


def why_not_reached(code_at_start: str | None, error: BaseException) -> BaseException:
    """What to tell of a script that ended by `error`, and not by its task: which of its files were edited.

    Parameters
    ----------
    code_at_start : str or None
        The note of what the code was when the sweep began; None where the sweep is frozen.
    """
    if code_at_start is None:
        return error
    from repro_hydra.code.unfrozen import changes_since
    from repro_hydra.session.findings import Refused

    changed = changes_since(Path(code_at_start), "blocks", environ=os.environ)
    if not changed:
        return error
    refused = Refused(changed, "the sweep refuses this job", "the script did not reach its task")
    refused.__cause__ = error
    return refused
