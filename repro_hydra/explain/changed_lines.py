"""The places in which the code of two runs differs, from the diff between their snapshots."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

_HUNK = re.compile(r"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_PROSE = (".md", ".rst", ".gitignore", ".cff", "LICENSE")
_LONGEST = 100


@dataclass(slots=True)
class Change:
    """Neighbouring lines that were changed."""

    file: str
    start: int | None
    """The first of them in the second run's file; where lines were only taken out, the one in their place."""
    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)

    @property
    def line(self) -> int | None:
        """The first that can be run; None of a file that is no text."""
        return None if self.start is None else self.start + next(_acting(self.added), 0)

    @property
    def says_nothing(self) -> bool:
        """Whether nothing of it can be run: comments, empty lines, prose."""
        if PurePosixPath(self.file).suffix in _PROSE or PurePosixPath(self.file).name in _PROSE:
            return True
        return self.start is not None and next(_acting([*self.removed, *self.added]), None) is None

    def __str__(self) -> str:
        if self.line is None:
            return f"{self.file}: {' '.join(self.added) or 'differs'}"
        if not self.removed:
            told = f"{_first(self.added)} is new"
        elif not self.added:
            told = f"{_first(self.removed)} is gone"
        else:
            told = f"{_first(self.added)}, before {_first(self.removed)}"
        more = max(len(self.removed), len(self.added)) - 1
        return f"{self.file}:{self.line}: {told}" + (f" (and {more} more lines)" if more > 0 else "")


def changes_in(diff: str) -> Iterator[Change]:
    """Each group of changed lines in a text of ``git diff``, in its order."""
    lines = iter(diff.split("\n"))
    file = ""
    for text in lines:
        if text.startswith("diff --git "):
            file = text.rpartition(" b/")[2].strip('"')
        elif text.startswith("Binary files "):
            yield Change(file, None, added=["binary, and differs"])
        elif text.startswith("rename from "):
            yield Change(file, None, added=[f"was {text.removeprefix('rename from ')}"])
        elif match := _HUNK.match(text):
            yield from _in_hunk(file, int(match[2]), int(match[1] or 1), int(match[3] or 1), lines)


def _in_hunk(file: str, line: int, before: int, after: int, lines: Iterator[str]) -> Iterator[Change]:
    """Those of one hunk, which has so many lines of the file before and after."""
    current: Change | None = None
    while before > 0 or after > 0:
        text = next(lines, None)
        if text is None:
            break
        sign = text[:1]
        if sign in ("+", "-"):
            current = current or Change(file, line)
            (current.added if sign == "+" else current.removed).append(text[1:])
        elif current is not None and sign != "\\":  # "\\ No newline at end of file"
            yield current
            current = None
        after -= sign in ("+", " ", "")
        before -= sign in ("-", " ", "")
        line += sign in ("+", " ", "")
    if current is not None:
        yield current


def _acting(texts: list[str]) -> Iterator[int]:
    """Of those that can be run, their places among the others."""
    return (number for number, text in enumerate(texts) if text.strip() and not text.lstrip().startswith("#"))


def _first(texts: list[str]) -> str:
    """The first that can be run, else the first."""
    text = texts[next(_acting(texts), 0)].strip()
    return f"`{text if len(text) <= _LONGEST else text[: _LONGEST - 1] + '…'}`"
