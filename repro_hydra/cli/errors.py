"""The user's mistakes: one message on standard error and an exit status, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from repro_hydra.record.find import UnresolvedReference
from repro_hydra.record.store import RecordError

NO = 1
MISUSE = 2


class UserError(Exception):
    """Something the user asked for that cannot be done; `status` is the exit status."""

    def __init__(self, message: str, status: int = MISUSE) -> None:
        super().__init__(message)
        self.status = status


@contextmanager
def told_plainly(command: str) -> Iterator[None]:
    """Turn what a user can bring about into a message and an exit."""
    try:
        yield
    except UserError as error:
        _leave(command, str(error), error.status)
    except UnresolvedReference as error:
        _leave(command, str(error), MISUSE)
    except RecordError as error:
        _leave(command, str(error), NO)
    except BrokenPipeError:
        # The reader (head, less) has seen enough.
        sys.stderr.close()
        raise SystemExit(0) from None


def _leave(command: str, message: str, status: int) -> None:
    print(f"repro-hydra {command}: {message}", file=sys.stderr)
    raise SystemExit(status)
