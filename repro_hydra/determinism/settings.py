"""Every setting in one table: its name, why it matters, when it must be set, how to set and how to probe it.

``determinism.json``, `repro-hydra doctor` and ``docs/settings.md`` are made from it, and each option of
`DeterminismConf` is one of its rows' (a test holds them together).
"""

from __future__ import annotations

from repro_hydra.determinism.library_settings import LIBRARY_SETTINGS
from repro_hydra.determinism.precision_settings import PRECISION_SETTINGS
from repro_hydra.determinism.process_settings import PROCESS_SETTINGS
from repro_hydra.determinism.setting import Setting
from repro_hydra.determinism.torch_settings import TORCH_SETTINGS

SETTINGS: tuple[Setting, ...] = (
    *PROCESS_SETTINGS,
    *LIBRARY_SETTINGS,
    *TORCH_SETTINGS,
    *PRECISION_SETTINGS,
)
