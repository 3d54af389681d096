"""Shared fixtures. Hydra's own (its launcher suites use them) come by their pytest entry point."""

from __future__ import annotations

import os
import tempfile

from hydra.core.plugins import Plugins

# The places that a test's runs write to must not come into the list of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="repro-hydra-tests-")

# Hydra finds its plugins on first use; the suites parametrise with launchers before that.
Plugins.instance()
