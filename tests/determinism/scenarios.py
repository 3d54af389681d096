"""Lines of Python run in a process of their own: torch's settings are global, and some are taken once."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from typing import Any


def told_by(begin: str, source: str, *flags: str, environ: Mapping[str, str] | None = None) -> Any:
    """The JSON in the last line that `begin` and then `source` print.

    Parameters
    ----------
    flags : str
        Of the interpreter.
    environ : mapping, optional
        Its whole environment, where that is not this process's.
    """
    done = subprocess.run(
        [sys.executable, *flags, "-c", begin + textwrap.dedent(source)],
        env=environ,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
