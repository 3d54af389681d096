"""A job's life. Also the public function ``repro_hydra.session(…)``.

The import system puts a subpackage where its parent's attribute of that name is, so the function of that name has
to be the package itself: its class gets a ``__call__`` (a documented use of a module's ``__class__``).
"""

from __future__ import annotations

import sys
import types
from typing import Any


class _CallablePackage(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from repro_hydra.session.api import session

        return session(*args, **kwargs)


sys.modules[__name__].__class__ = _CallablePackage
