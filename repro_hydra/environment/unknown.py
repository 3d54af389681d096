"""A field that cannot be read is named with its reason, never filled with a guess."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Unknown(dict[str, str]):
    """Field to reason."""

    def attempt(self, field: str, read: Callable[[], T]) -> T | None:
        """What `read` gives; where it fails, None, and the reason is kept under `field`.

        Whatever it raises is caught: a machine that describes itself oddly must not stop a run.
        """
        try:
            return read()
        except Exception as error:  # noqa: BLE001
            self[field] = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            return None
