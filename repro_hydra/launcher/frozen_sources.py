"""Hydra's config folders while a sweep lasts: those that lie in the user's tree are read from its frozen copy.

A sweeper that plans in batches composes configs for hours; what the user edits meanwhile is for the next sweep.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from hydra._internal.config_repository import ConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.config_source import ConfigSource

from repro_hydra.code.frozen_tree import FrozenTree


class FrozenRepository(ConfigRepository):
    """Hydra's repository of configs, with the copy's folders in place of the user's.

    Hydra copies it for each composition, and initialises it again where a config adds to ``hydra.searchpath``.
    """

    def __init__(self, config_search_path: ConfigSearchPath, frozen: FrozenTree) -> None:
        self._frozen = frozen
        super().__init__(config_search_path)

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        super().initialize_sources(config_search_path)
        self.sources = [_in_the_copy(source, self._frozen) for source in self.sources]


def read_configs_from(frozen: FrozenTree, config_loader: Any) -> None:
    """Let `config_loader` compose from the copy, for the rest of this program: the sweep is all that it does."""
    config_loader.repository = FrozenRepository(config_loader.get_search_path(), frozen)


def _in_the_copy(source: ConfigSource, frozen: FrozenTree) -> ConfigSource:
    from hydra._internal.core_plugins.file_config_source import FileConfigSource

    folder: str | None = source.path
    if source.scheme() == "pkg":
        folder = _folder_of_package(source.path)
    elif source.scheme() != "file":
        return source
    place = None if not folder else frozen.counterpart(folder)
    return source if place is None else FileConfigSource(provider=source.provider, path=place)


def _folder_of_package(dotted: str) -> str | None:
    try:
        spec = importlib.util.find_spec(dotted.replace("/", "."))
    except (ImportError, ValueError, AttributeError):
        return None
    places = None if spec is None else spec.submodule_search_locations
    return next(iter(places), None) if places is not None else None
