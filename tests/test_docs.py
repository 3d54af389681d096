"""The Python blocks of the documentation's pages run as they stand, one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

DOCS = Path(__file__).parents[1] / "docs"
LIMIT_S = 120
PAGES = (
    "resume.md",
    pytest.param(
        "lightning.md", marks=pytest.mark.skipif(find_spec("lightning") is None, reason="needs lightning")
    ),
)


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), flags=re.M | re.S)


@pytest.mark.parametrize("name", PAGES)
def test_the_blocks_of_a_page_run(name: str, tmp_path: Path) -> None:
    """All blocks of a page in one interpreter, as somebody who follows the page would type them."""
    blocks = python_blocks(DOCS / name)
    assert blocks
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks))
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith(("REPRO_HYDRA_", "PYTEST_"))},
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
