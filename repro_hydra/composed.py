"""Reading and changing a config that Hydra has composed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException


def select(config: DictConfig, key: str) -> Any:
    """``OmegaConf.select`` that answers None for whatever is not there."""
    try:
        return OmegaConf.select(config, key, throw_on_missing=False)
    except OmegaConfBaseException:
        return None


def set_value(config: DictConfig, key: str, value: Any) -> None:
    """Set `key`, which has a parent, although Hydra's own node is read-only."""
    section, _, name = key.rpartition(".")
    node = OmegaConf.select(config, section)
    with read_write(node), open_dict(node):
        node[name] = value


def as_written(config: DictConfig, key: str) -> str:
    """The value at `key` with its interpolations as they were written."""
    section, _, name = key.rpartition(".")
    written = OmegaConf.to_container(OmegaConf.select(config, section), resolve=False)
    assert isinstance(written, dict)
    return str(written[name])


def env_set(config: DictConfig) -> dict[str, str]:
    """``hydra.job.env_set``."""
    given = OmegaConf.to_container(config.hydra.job.env_set, resolve=True)
    assert isinstance(given, dict)
    return {str(key): str(value) for key, value in given.items()}


@contextmanager
def as_hydra_config(config: DictConfig) -> Iterator[None]:
    """Let ``${hydra:…}`` in `config` resolve, as Hydra does for the job itself.

    ``HydraConfig.set_config`` would make a copy in which the user's part is hidden, and another for each look (6 ms
    for the options of this package): whoever resolves a directory here needs neither.
    """
    hydra: Any = HydraConfig.instance()
    before = hydra.cfg
    hydra.cfg = config
    try:
        yield
    finally:
        hydra.cfg = before
