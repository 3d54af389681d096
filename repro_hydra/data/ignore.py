"""Which files of a dataset are left out of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import translate

from repro_hydra.data.errors import DataMisuse

Ignored = Callable[[bytes, bool], bool]
"""Takes a path relative to the dataset, and whether it is a directory."""

_ANY_DEPTH = "**"
_SLASH = ord("/")
_Pattern = tuple[bool, list["re.Pattern[str] | None"]]


def compile_ignore(patterns: Sequence[str]) -> Ignored | None:
    """The patterns as one predicate; None where nothing is ignored, so that a walk need not ask.

    A pattern without a slash is held against the name at any depth, one with a slash against the whole path
    from the dataset's root: ``*``, ``?`` and ``[…]`` match within one name, ``**`` any number of directories.
    A slash at the end means directories only. What lies below an ignored directory is ignored with it.

    Examples
    --------
    >>> ignored = compile_ignore(["*.tmp", "/cache/"])
    >>> ignored(b"a/b.tmp", False), ignored(b"cache", True), ignored(b"a/cache", True)
    (True, True, False)
    """
    if not patterns:
        return None
    compiled = [_compile(pattern) for pattern in patterns]

    def ignored(path: bytes, is_directory: bool) -> bool:
        parts = path.decode("utf-8", "surrogateescape").split("/")
        return any(
            (is_directory or not directories_only) and _match(parts, pattern)
            for directories_only, pattern in compiled
        )

    return ignored


def is_left_out(path: bytes, ignored: Ignored | None, is_directory: bool = False) -> bool:
    """Whether `path` is ignored, or lies below a directory that is."""
    if ignored is None:
        return False
    above = [path[:end] for end, char in enumerate(path) if char == _SLASH]
    return any(ignored(folder, True) for folder in above) or ignored(path, is_directory)


def _compile(pattern: str) -> _Pattern:
    body = pattern.rstrip("/")
    parts = body.lstrip("/").split("/")
    if not body or not all(parts):
        raise DataMisuse(f"data.ignore: {pattern!r} is no pattern; expected for example '*.tmp' or 'cache/'")
    if "/" not in body:
        parts.insert(0, _ANY_DEPTH)
    return pattern.endswith("/"), [None if p == _ANY_DEPTH else re.compile(translate(p)) for p in parts]


def _match(parts: list[str], pattern: list[re.Pattern[str] | None]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] is None:
        return any(_match(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and bool(pattern[0].match(parts[0])) and _match(parts[1:], pattern[1:])
