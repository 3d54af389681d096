"""The real diff between the code of runs, from a repository that has both of their trees."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro_hydra.code.facts import Location
from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.record.reproduction import CodeDiff
from repro_hydra.reproduce.code_source import repositories
from repro_hydra.reproduce.original import Original

_MOST_BYTES = 4 << 20
_OPTIONS = ("diff", "--no-color", "--no-ext-diff", "--no-textconv", "--find-renames", "--submodule=short")


def code_diffs(originals: Sequence[Original], environ: Mapping[str, str] | None = None) -> list[CodeDiff]:
    """Between the first run and each other whose code is another one."""
    first, *others = originals
    pairs = [
        (first, other)
        for other in others
        if first.code is not None and other.code is not None and first.code.tree != other.code.tree
    ]
    if not pairs:
        return []
    environ = os.environ if environ is None else environ
    # Not the folders that records name: a stranger's would make us look where they like.
    here = repositories([Path.cwd(), *(original.dir for original in originals)], environ)
    return [CodeDiff(a=str(a.dir), b=str(b.dir), diff=_diff(a, b, here, environ)) for a, b in pairs]


def _diff(a: Original, b: Original, here: Sequence[Location], environ: Mapping[str, str]) -> str | None:
    assert a.code is not None
    assert b.code is not None
    if a.code.tree is None or b.code.tree is None:
        return None
    for location in here:
        git = Git(location.top, environ)
        try:
            output = git.finish_limited(git.start(*_OPTIONS, a.code.tree, b.code.tree, "--"), _MOST_BYTES)
        except (GitError, GitUnavailableError):
            continue  # it does not have both
        if output is not None:
            return output.decode("utf-8", "replace")
        return f"more than {_MOST_BYTES >> 20} MiB. Run: git diff {a.code.tree} {b.code.tree}\n"
    return None
