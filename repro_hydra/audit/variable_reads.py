"""Environment variables that the user's code reads, and whose values the record does not hold.

Libraries read variables by the hundred; only what a line of the user's asks for by name is looked at. Whoever copies
the whole environment (for a child process) asks for none; that lines read from such a copy can't be seen, and is said.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FrameType
from typing import Any

from repro_hydra.audit.book import AuditBook, caller_of_hook
from repro_hydra.patches import Patches
from repro_hydra.sites import Site, callers, is_users, site_of

IsUnrecorded = Callable[[str, str], bool]
"""Whether a variable of this name and value is an input that the record does not hold."""
_FOR_OTHERS = (
    *(f"{os.sep}{name}.py" for name in ("os", "_collections_abc", "posixpath", "ntpath", "string")),
    *(f"<frozen {name}>" for name in ("os", "_collections_abc", "posixpath", "ntpath")),
)
"""Of the standard library, what asks for whoever calls it: `os.path.expandvars`, `string.Template`."""


def install(audit: AuditBook, patches: Patches, is_unrecorded: IsUnrecorded) -> None:
    """Replace how ``os.environ`` answers; ``os.getenv`` and ``.get`` go through the same."""
    kind: Any = type(os.environ)
    get, iterate = kind.__getitem__, kind.__iter__
    settled: set[str] = set()
    copying: set[tuple[str, int]] = set()

    def getitem(self: Any, key: Any) -> Any:
        answer = get(self, key)
        if not _is_the_process_s(self) or key in settled or audit.sleeping():
            return answer
        with audit.inside():
            name, value = os.fsdecode(key), os.fsdecode(answer)
            if not is_unrecorded(name, value):
                settled.add(key)
                return answer
            frame = _asking(caller_of_hook())
            if frame is not None and _line(frame) not in copying:
                report(audit, name, site_of(frame, audit.start))
        return answer

    def iter_(self: Any) -> Any:
        if _is_the_process_s(self) and not audit.sleeping():
            frame = _asking(caller_of_hook())
            if frame is not None:
                copying.add(_line(frame))
                site = site_of(frame, audit.start)
                audit.not_followed[
                    f"environment variables that are read from what {site} makes of all of them"
                ] = site
        return iterate(self)

    patches.attribute(kind, "__getitem__", getitem)
    patches.attribute(kind, "__iter__", iter_)


def report(audit: AuditBook, name: str, site: Site) -> None:
    """The user's line at `site` reads a variable that the record does not hold."""
    audit.add(
        f"undeclared-variable:{name}@{site}",
        "may_change_bits",
        f"{site}: the environment variable {name} is read, and the record does not hold its value. "
        f"Put it into the config (${{oc.env:{name}}}), or have it recorded: "
        f"hydra.callbacks.repro.environment.variables='[{name}]'",
        site,
    )


def _is_the_process_s(environ: Any) -> bool:
    """Whether it is the environment itself, as text or (``os.environb``) as bytes; others are a test's or a copy."""
    return environ is os.environ or environ is getattr(os, "environb", None)


def _asking(frame: FrameType) -> FrameType | None:
    """The user's frame that asks; None where a library does."""
    for caller in callers(frame):
        filename = caller.f_code.co_filename
        if not filename.endswith(_FOR_OTHERS):
            return caller if is_users(filename) else None
    return None


def _line(frame: FrameType) -> tuple[str, int]:
    return frame.f_code.co_filename, frame.f_lineno
