"""Watching from an interpreter's first moment: imported by ``repro_hydra_inputs.pth`` in site-packages.

That file is read whenever an interpreter of this environment starts, and imports this module in two cases only: a
child of a job, whose reads are its parent's, and a command line that asks for a mode of this package, where the
script's top level runs before Hydra calls us. (coverage.py watches its children by such a file too.)
"""

from __future__ import annotations

import contextlib
import os
import sys
from itertools import pairwise

from repro_hydra.inputs import wire
from repro_hydra.inputs.hook import activate, active
from repro_hydra.inputs.recorder import Recorder

_ASKS = ("+repro=", "++repro=")
_NO_WATCH = ("record",)
_OWN = "repro_hydra"


def begin() -> None:
    """Start watching, where this interpreter is one of those that are watched; else do nothing."""
    words = sys.orig_argv
    if active() is not None:
        return  # `lib64` may be another name of `lib`, and the file is then read twice
    if any(word == "-m" and after.split(".")[0] == _OWN for word, after in pairwise(words)):
        return  # our own programs: a job's process begins by itself, the others have nothing to tell
    run_dir = os.environ.get(wire.RUN_VARIABLE)
    folder = os.path.join(run_dir, wire.FOLDER) if run_dir else ""  # noqa: PTH118
    if folder and os.path.isdir(folder):  # noqa: PTH112
        recorder = Recorder(from_start=True, folder=folder)
        recorder.sign_in("python")
        activate(recorder)
    elif asked_for(words):
        begin_job()


def asked_for(words: list[str]) -> bool:
    """Whether a command line asks for a mode that watches inputs."""
    asked = [word.partition("=")[2] for word in words if word.startswith(_ASKS)]
    return bool(asked) and not all(mode in _NO_WATCH for mode in asked)


def begin_job() -> None:
    """Start watching a job's own process, of which nothing ran yet."""
    if active() is None:
        activate(Recorder(from_start=True))


def begin_safely() -> None:
    """As `begin`; whatever goes wrong must not stop an interpreter from starting."""
    with contextlib.suppress(
        OSError
    ):  # the run ended in this moment, or its disk is full: it misses this child
        begin()
