"""What can go wrong with a dataset, said in one breath."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_SHOWN_PROBLEMS = 10


class Problem(NamedTuple):
    """One file or directory that could not be digested."""

    path: bytes
    reason: str


class DataError(Exception):
    """A dataset or a registry that cannot be read or written; the message is for the user.

    Attributes
    ----------
    problems : list of Problem
        The files it is about, where it is about files: all of them, though the message names only the first.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = list(problems)
        lines = [message]
        lines += [f"  {shown(problem.path)}: {problem.reason}" for problem in self.problems[:_SHOWN_PROBLEMS]]
        if len(self.problems) > _SHOWN_PROBLEMS:
            lines.append(f"  and {len(self.problems) - _SHOWN_PROBLEMS} more")
        super().__init__("\n".join(lines))


class DataMisuse(DataError):
    """Asked for something that does not exist or makes no sense: exit status 2 rather than 1."""


class DataChanged(DataError):
    """What lies there is not what another system's version says."""


def shown(path: bytes) -> str:
    r"""A file name for people: never a control character, whatever bytes the name holds.

    Examples
    --------
    >>> shown(b"caf\xc3\xa9/\xff\n")
    'café/\\xff\\n'
    """
    text = path.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
