"""Shared fixtures. Hydra's own (its launcher suites use them) come by their pytest entry point."""

from __future__ import annotations

from hydra.core.plugins import Plugins

# Hydra finds its plugins on first use; the suites parametrise with launchers before that.
Plugins.instance()
