"""A ``.env``: never captured, and known again all the same, by the names of its variables and a keyed digest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import blake3

from repro_hydra.code.admit import is_environment_file
from repro_hydra.record.code import EnvironmentFile

_NAME = re.compile(rb"^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=", re.MULTILINE)
_LARGEST_BYTES = 1 << 20


def environment_files(top: Path, folders: Iterable[Path], key: bytes | None) -> list[EnvironmentFile]:
    """Those that lie in `folders` or at the top of the work tree, whether git ignores them or not.

    Parameters
    ----------
    key : bytes or None
        The user's own: a plain digest of a short file would give away what is in it to whoever tries. Without one
        there is no digest.
    """
    found: dict[Path, EnvironmentFile] = {}
    for folder in dict.fromkeys([top, *folders]):
        try:
            names = sorted(entry for entry in os.listdir(folder) if is_environment_file(os.fsencode(entry)))  # noqa: PTH208
        except OSError:
            continue
        for name in names:
            file = folder / name
            try:
                if not file.is_file() or file.stat().st_size > _LARGEST_BYTES:
                    continue
                content = file.read_bytes()
            except OSError:
                continue
            variables = dict.fromkeys(match.decode() for match in _NAME.findall(content))
            found[file] = EnvironmentFile(
                path=os.path.relpath(file, top),
                variables=list(variables),
                keyed_digest=None if key is None else blake3.blake3(content, key=key).hexdigest(),
            )
    return list(found.values())
