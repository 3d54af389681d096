"""A small training whose runs differ in known ways, and `repro-hydra` as its user types it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "doors"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "reproduce"))
