"""Hydra's own conformance suites, whole: against `repro`, and against each launcher wrapped by this package.

For the wrapped ones the callback is asked for by its class and not by ``+repro=…``, which would stand among the
overrides that nine of the tests compare literally.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hydra.test_utils.launcher_common_tests import (
    BatchedSweeperTestSuite,
    IntegrationTestSuite,
    LauncherTestSuite,
)

CALLBACK = "+hydra.callbacks.repro._target_=repro_hydra.callback.ReproCallback"
BATCHES = ("hydra/sweeper=basic", "hydra.sweeper.max_batch_size=2")
FRESH = "hydra.launcher.start=fresh"
LIKE_REPRO = pytest.mark.soak
"""The callback puts the isolating launcher in the place of these: the same code as in a suite that always runs."""


@pytest.mark.parametrize(("launcher_name", "overrides"), [("repro", [])])
class TestRepro(LauncherTestSuite):
    """The isolating launcher by itself."""


@pytest.mark.soak
@pytest.mark.parametrize(("launcher_name", "overrides"), [("repro", ["hydra.launcher.n_jobs=2", FRESH])])
class TestReproFresh(LauncherTestSuite):
    """The same with fresh interpreters, two at a time."""


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [(name, [CALLBACK]) for name in ("repro", "joblib")]
    + [pytest.param("basic", [CALLBACK], marks=LIKE_REPRO)],
)
class TestWrapped(LauncherTestSuite):
    """Each launcher inside the callback's."""


@pytest.mark.parametrize(
    ("launcher_name", "overrides"), [("submitit_local", [CALLBACK, "hydra.launcher.timeout_min=2"])]
)
class TestWrappedSubmitit(LauncherTestSuite):
    """Submitit's local executor inside the callback's."""


@pytest.mark.parametrize(
    ("launcher_name", "overrides"),
    [
        ("repro", ["hydra.launcher.n_jobs=2", *BATCHES]),
        *((name, [CALLBACK, *BATCHES]) for name in ("joblib", "submitit_local")),
        *(pytest.param(name, [CALLBACK, *BATCHES], marks=LIKE_REPRO) for name in ("repro", "basic")),
    ],
)
class TestBatched(BatchedSweeperTestSuite):
    """A sweeper that launches batch after batch."""


@pytest.mark.parametrize(
    ("task_launcher_cfg", "extra_flags"),
    [
        ({}, ["-m", "hydra/launcher=repro"]),
        *(
            ({}, ["-m", f"hydra/launcher={name}", CALLBACK])
            for name in ("repro", "basic", "joblib", "submitit_local")
        ),
    ],
)
class TestIntegration(IntegrationTestSuite):
    """Real programs, each in a process of its own."""


@pytest.fixture(autouse=True)
def _restore_working_directory() -> object:
    """Some of the suites' tests change directory and leave it so when they fail."""
    before = Path.cwd()
    yield
    os.chdir(before)
