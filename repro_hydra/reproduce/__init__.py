"""What is done with the record of a run that is over: verify it, compare it with another, run it again.

``repro_hydra.reproduce(run)`` has to be this very module, since the import system puts a subpackage where its
parent's attribute of that name is (see `repro_hydra.session`): so the module can be called.
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _CallablePackage(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from repro_hydra.reproduce.api import reproduce

        return reproduce(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
