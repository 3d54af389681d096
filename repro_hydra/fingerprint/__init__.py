"""Fingerprints: digests of what a training consists of, step by step, so that two runs show where they part.

A step is one call of an optimizer's ``step``. `steps` takes them from torch, `pieces` chooses what of large tensors is
read at which step, `digest` and `device` make digests of values in the host's memory and in a device's, `log` writes
the lines. None of these is imported by a run that takes no fingerprints.

``repro_hydra.fingerprint(name, value)`` has to be this very module, since the import system puts a subpackage where
its parent's attribute of that name is (see `repro_hydra.session`): so the module can be called.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _CallablePackage(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from repro_hydra.fingerprint.recorder import fingerprint

        return fingerprint(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
