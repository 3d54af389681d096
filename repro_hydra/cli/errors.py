"""The user's mistakes: one message on standard error and an exit status, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

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
        try:
            yield
        finally:
            sys.stdout.flush()  # what it cannot take (a full disk) is told here, not while the interpreter ends
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
    except OSError as error:
        _let_go_of_stdout()
        where = "" if error.filename is None else f"{os.fsdecode(error.filename)}: "
        _leave(command, f"{where}{error.strerror or error}", NO)


def _let_go_of_stdout() -> None:
    """What is still to be written would fail once more when the interpreter ends, and be its exit status."""
    with suppress(OSError, ValueError):  # a stream that is no file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _leave(command: str, message: str, status: int) -> None:
    print(f"repro-hydra {command}: {message}", file=sys.stderr)
    raise SystemExit(status)
