"""Byte code that is not that of its source: Python trusts a ``.pyc`` whose time and size fit, and runs it.

A checkout that sets times back, an archive unpacked over a folder, a copy that keeps times: the source in the record is
then not what ran. Only the user's modules are looked at, and those few lines are compiled again.
"""

from __future__ import annotations

import marshal
import os
import sys
from pathlib import Path
from types import CodeType, ModuleType

from repro_hydra.audit.book import AuditBook
from repro_hydra.sites import Site, shorten, users_modules

_HEADER_BYTES = 16  # PEP 552


def look(audit: AuditBook) -> None:
    """Report the user's modules whose byte code on disk, which was loaded, is another than their source gives."""
    for filename, module in users_modules():
        if _is_stale(filename, module):
            site = Site(shorten(filename, audit.start), 1)
            audit.add(
                f"stale-bytecode:{site.file}",
                "may_change_bits",
                f"{site.file}: its byte code, {_cached(module)}, is that of another source: Python ran that, and the "
                "record holds this. Remove it: find . -name __pycache__ -exec rm -r {} +",
                site,
            )


def _is_stale(filename: str, module: ModuleType) -> bool:
    cached = _cached(module)
    if cached is None or not filename.endswith(".py"):
        return False
    try:
        data = Path(cached).read_bytes()
        source = Path(filename)
        state = source.stat()
        text = source.read_bytes()
    except OSError:
        return False  # no byte code, and so none that is stale
    flags = int.from_bytes(data[4:8], "little")
    by_time = (int(state.st_mtime) & 0xFFFFFFFF, state.st_size & 0xFFFFFFFF)
    recorded = (int.from_bytes(data[8:12], "little"), int.from_bytes(data[12:16], "little"))
    unchecked = flags & 0b01 and not flags & 0b10
    if not unchecked and (flags or recorded != by_time):
        return False  # Python saw that it was out of date, and compiled the source
    try:
        found = marshal.loads(data[_HEADER_BYTES:])  # noqa: S302 (what the interpreter itself has loaded and run)
        expected = compile(text, filename, "exec", dont_inherit=True, optimize=sys.flags.optimize)
    except (ValueError, EOFError, TypeError, SyntaxError):
        return False
    return isinstance(found, CodeType) and found != expected


def _cached(module: ModuleType) -> str | None:
    spec = vars(module).get("__spec__")
    cached = getattr(spec, "cached", None)
    return cached if isinstance(cached, str) and os.path.isfile(cached) else None  # noqa: PTH113 (as is asked a lot)
