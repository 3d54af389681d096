"""Shared fixtures. Hydra's own (its launcher suites use them) come by their pytest entry point."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile

import pytest
from hydra.core.plugins import Plugins

# The places that a test's runs write to must not come into the list of whoever runs the tests.
STATE = tempfile.mkdtemp(prefix="repro-hydra-tests-")
os.environ["XDG_STATE_HOME"] = STATE

# A shell starts what it puts in the background with SIGINT ignored, and the tests' programs would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hydra finds its plugins on first use; the suites parametrise with launchers before that.
Plugins.instance()


def pytest_unconfigure() -> None:
    """Of each worker too."""
    shutil.rmtree(STATE, ignore_errors=True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first: at the end one process would still be at one of them while the others have nothing left."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
