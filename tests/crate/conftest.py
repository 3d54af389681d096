"""A user's project whose runs are exported, by the commands that its user types."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE / "doors"), str(HERE / "reproduce")]
