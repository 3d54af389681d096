"""`repro_hydra.determinism.settings` and `.watch`: settings put in force, probed, and held against whoever changes them.

torch's settings are global, so each scenario has a process of its own: it prints what the watch says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest

from repro_hydra.config import DeterminismConf, TorchDeterminism
from repro_hydra.determinism import SETTINGS, DeterminismRecord, SettingsWatch, required_variables
from repro_hydra.record.store import decode_record if False else None  # placeholder
