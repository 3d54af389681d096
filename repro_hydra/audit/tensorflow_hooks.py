"""Hooks on the seeding of TensorFlow's global generator.

Written from TensorFlow's documentation and source (``python/framework/random_seed.py``), and never seen with
TensorFlow itself. A generator from the system's entropy (``tf.random.Generator.from_non_deterministic_state``) needs
no hook: with the determinism of operators enabled, as strict has it, TensorFlow refuses to make one.
"""

from __future__ import annotations

import sys
from typing import Any

from repro_hydra.audit.book import AuditBook
from repro_hydra.audit.seeding_hooks import watch_seeding
from repro_hydra.patches import Patches

_HOME = "tensorflow.python.framework.random_seed"


def install(audit: AuditBook, patches: Patches) -> None:
    """Replace what is looked at: ``tf.random.set_seed``, and what ``tf.compat.v1.set_random_seed`` is."""
    watch_seeding(sys.modules["tensorflow"].random, "set_seed", "tensorflow", audit, patches)
    home: Any = sys.modules.get(_HOME)
    if hasattr(home, "set_random_seed"):
        watch_seeding(home, "set_random_seed", "tensorflow", audit, patches)
