"""The environment in which the commands are timed: the caller's, with byte code as every installation has it."""

from __future__ import annotations

import os


def users_environment() -> dict[str, str]:
    """`os.environ` without ``PYTHONDONTWRITEBYTECODE``, which would compile each of our modules at every start.

    The first run of each command, which no benchmark counts, writes the byte code of an editable install.
    """
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
