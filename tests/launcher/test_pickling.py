"""`repro_hydra.launcher.pickling`: classes of the script are the same classes in its jobs."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from repro_hydra.launcher.pickling import dumps, loads, refers_to_main

SCRIPT = """
import enum, sys
from pathlib import Path
from repro_hydra.launcher.pickling import dumps, loads, refers_to_main

class Colour(enum.Enum):
    red = 1

def double(x):
    return 2 * x

if sys.argv[1] == "send":
    data = dumps({"colour": Colour.red, "f": double, "g": lambda x: x + 1, "local": type("Local", (), {})},
                 main_by_reference=sys.argv[3] == "reference")
    print(refers_to_main(data))
    Path(sys.argv[2]).write_bytes(data)
else:
    got = loads(Path(sys.argv[2]).read_bytes())
    print(got["colour"] is Colour.red, got["f"] is double, got["f"](2), got["g"](2))
"""


def _send_and_receive(folder: Path, how: str) -> list[str]:
    script = folder / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    lines = []
    for action in ("send", "receive"):
        done = subprocess.run(
            [sys.executable, str(script), action, str(folder / "data"), how],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        lines.append(done.stdout.strip())
    return lines


def test_the_scripts_classes_are_the_same_there(tmp_path: Path) -> None:
    """An enum's identity and a function's hold in a process with the same script; a lambda travels by value."""
    assert _send_and_receive(tmp_path, "reference") == ["True", "True True 4 3"]


def test_by_value_they_are_copies(tmp_path: Path) -> None:
    """What a worker without the script gets works, and is another class: the reason for sending by reference."""
    assert _send_and_receive(tmp_path, "value") == ["False", "False False 4 3"]


def test_what_needs_no_main_says_so() -> None:
    """Plain values are read anywhere, whichever way they were sent."""
    for by_reference in (True, False):
        data = dumps({"a": [1, 2.5, None]}, main_by_reference=by_reference)
        assert not refers_to_main(data)
        assert loads(data) == {"a": [1, 2.5, None]}
