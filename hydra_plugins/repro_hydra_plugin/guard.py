"""Refuses a sweep over the mode itself: its parent would have no callback, and nothing would be wrapped.

And lets trackers add up: `+repro/tracking=mlflow +repro/tracking=tensorboard`, where Hydra takes a group once. And
keeps the user's config where its defaults list has overrides alone: Hydra drops it when a group is appended to that.
A search path plugin is the only one that Hydra runs at every start; this one leaves the search path alone.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

if TYPE_CHECKING:
    from omegaconf import DictConfig


_TRACKER = "+repro/tracking="
_LIST = re.compile(r"\[[^][]*\]")
_SWEPT = re.compile(r"[,(]")
"""Outside of brackets: a sweep over trackers."""


class ReproGuard(SearchPathPlugin):
    """Looks at each sweep that starts without the callback, whether it names this package's groups all the same."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Watch for sweepers; the search path stays as it is."""
        from hydra.core.plugins import Plugins

        _keep_the_users_config()
        if sum(argument.startswith(_TRACKER) for argument in sys.argv) > 1:
            _let_trackers_add_up()
        plugins: Any = Plugins.instance()
        if "instantiate_sweeper" in vars(plugins):
            return
        original = plugins.instantiate_sweeper

        def instantiate_sweeper(*args: Any, config: DictConfig, **rest: Any) -> Any:
            _refuse_swept_mode(config)
            sweeper = original(*args, config=config, **rest)
            sweep = sweeper.sweep
            sweeper.sweep = lambda arguments: sweep(_trackers_in_one(arguments))
            return sweeper

        plugins.instantiate_sweeper = instantiate_sweeper


def _keep_the_users_config() -> None:
    """Have Hydra add the ``_self_`` that it forgets where a group of ours is appended to a config.

    ``defaults: [override hydra/job_logging: colorlog]`` has no entry that is no override, and Hydra 1.3 then adds no
    ``_self_`` (`_validate_self`): alone, such a config is its own only part; with ``+group=option`` that is the only
    one. A Hydra that has these functions no more is left as it is.
    """
    from hydra._internal import defaults_list

    hydra: Any = defaults_list
    if not all(hasattr(hydra, name) for name in ("_validate_self", "ConfigDefault", "Overrides")):
        return
    validate, config_default = hydra._validate_self, hydra.ConfigDefault
    if hasattr(validate, "repro_hydra"):
        return
    original_init: Any = hydra.Overrides.__init__
    appended: list[bool] = [False]

    def __init__(self: Any, *args: Any, **rest: Any) -> None:
        original_init(self, *args, **rest)
        appended[0] = any(str(d.group).split("/")[0] == "repro" for d in self.append_group_defaults)

    def _validate_self(containing_node: Any, defaults: list[Any], *args: Any, **rest: Any) -> Any:
        overrides_alone = bool(defaults) and all(d.is_override() for d in defaults)
        answer = validate(containing_node, defaults, *args, **rest)
        if appended[0] and overrides_alone and all(d.is_override() for d in defaults):
            defaults.append(config_default(path="_self_"))
        return answer

    _validate_self.repro_hydra = True  # type: ignore[attr-defined]
    hydra.Overrides.__init__ = __init__
    hydra._validate_self = _validate_self


def _let_trackers_add_up() -> None:
    """Have Hydra read repeated `+repro/tracking=NAME` as one list of names, which it knows how to compose."""
    from hydra._internal.defaults_list import Overrides

    original = Overrides.__init__

    def __init__(self: Any, *args: Any, **rest: Any) -> None:
        original(self, *args, **rest)
        trackers = [
            d for d in self.append_group_defaults if d.group == "repro/tracking" and d.package is None
        ]
        for other in trackers[1:]:
            self.append_group_defaults.remove(other)
        if len(trackers) > 1:
            names = [n for d in trackers for n in (d.value if isinstance(d.value, list) else [d.value])]
            trackers[0].value = list(dict.fromkeys(names))

    Overrides.__init__ = __init__  # type: ignore[method-assign]


def _trackers_in_one(arguments: list[str]) -> list[str]:
    """A sweep's arguments with one list of trackers: of several with one key, Hydra's sweeper keeps the last only."""
    ours = [argument for argument in arguments if argument.startswith(_TRACKER)]
    names: list[str] = []
    for argument in ours:
        value = argument[len(_TRACKER) :].strip()
        if _LIST.fullmatch(value):
            value = value[1:-1]
        elif _SWEPT.search(value):
            return arguments
        names += [name.strip() for name in value.split(",") if name.strip()]
    if len(ours) < 2:
        return arguments
    whole = f"{_TRACKER}[{','.join(dict.fromkeys(names))}]"
    first = arguments.index(ours[0])
    rest = [argument for argument in arguments[first:] if argument not in ours]
    return [*arguments[:first], whole, *rest]


def _refuse_swept_mode(config: DictConfig) -> None:
    callback = (config.hydra.callbacks or {}).get("repro")
    if callback is not None and "_target_" in callback:
        return
    params = config.hydra.sweeper.get("params") or {}
    named = [*config.hydra.overrides.task, *(f"{key}={value}" for key, value in params.items())]
    swept = [item for item in named if item.lstrip("+").partition("=")[0] == "repro"]
    if swept:
        raise SystemExit(
            f"repro: {swept[0]}: the mode cannot be swept, since the sweep itself has to be in one. "
            "Start one sweep for each mode, e.g. -m +repro=strict 'seed=range(5)'"
        )
