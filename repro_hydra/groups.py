"""What a user chose by ``+repro…``: whether a config really holds it, and that no folder is named after it.

Hydra itself is silent in three cases: a group that nobody knows becomes a value of the user's config, a nested
option without a mode brings the callback along with none, and a mode that is composed after an option overwrites it.
"""

from __future__ import annotations

from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from repro_hydra.composed import select, set_value
from repro_hydra.config import Mode
from repro_hydra.config_groups import NESTED_GROUPS
from repro_hydra.session.findings import Misuse

GROUP = "repro"
_OPTIONS = "hydra.callbacks.repro"
_WITH_EVERY_OPTION = ("_target_", "run_mode")


def is_repro(key: str) -> bool:
    """Whether an override's key selects one of this package's groups."""
    return key == GROUP or key.startswith(f"{GROUP}/")


def check_groups(config: DictConfig) -> None:
    """Hold the groups that were asked for against what `config` was composed from.

    Raises
    ------
    Misuse
        For a group that is none, for an option without a mode, and for one that the mode overwrote.
    """
    options: Any = select(config, _OPTIONS)
    if options is None:
        return
    chosen = config.hydra.runtime.choices
    overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
    ours = {str(override.input_line): override.key_or_group for override in overrides}
    for line, key in ours.items():
        if is_repro(key) and key not in chosen and key.partition("/")[2] not in (*NESTED_GROUPS, ""):
            known = ", ".join(f"+{GROUP}/{name}=…" for name in NESTED_GROUPS)
            raise Misuse(f"{line}: there is no such group. Expected +{GROUP}=… or one of {known}")
    keys = [str(key) for key in options]
    nested = [line for line, key in ours.items() if key.startswith(f"{GROUP}/")]
    if "mode" not in keys:
        if nested:
            modes = ", ".join(f"+{GROUP}={mode.value}" for mode in Mode)
            raise Misuse(
                f"{' '.join(nested)}: expected a mode before it ({modes}). "
                f"Run with: +{GROUP}=strict {' '.join(nested)}"
            )
        return
    if GROUP not in chosen:
        return  # written out by the user, as one node: nothing was composed over anything
    # A node keeps the order in which its keys were first written.
    overwritten = [key for key in keys[: keys.index("mode")] if key not in _WITH_EVERY_OPTION]
    if overwritten:
        mode = f"+{GROUP}={chosen[GROUP]}"
        raise Misuse(
            f"{', '.join(f'{_OPTIONS}.{key}' for key in overwritten)}: given before the mode, which overwrites it. "
            f"Give the mode first: {' '.join([mode, *nested])} (in a defaults list: {GROUP} above {GROUP}/… and _self_)"
        )


def without_repro(config: DictConfig) -> None:
    """Take ``+repro…`` out of ``hydra.job.override_dirname``, which names directories.

    Hydra leaves out overrides of ``hydra.…`` by itself, and the keys in ``exclude_keys``.
    """
    parser = OverridesParser.create()
    options = config.hydra.job.config.override_dirname
    excluded = set(options.exclude_keys or [])
    kept: list[Override] = [
        override
        for override in parser.parse_overrides(list(config.hydra.overrides.task))
        if not is_repro(override.key_or_group) and override.key_or_group not in excluded
    ]
    lines = sorted(str(override.input_line).replace("=", options.kv_sep) for override in kept)
    set_value(config, "hydra.job.override_dirname", options.item_sep.join(lines))
