"""The configs of a sweep's jobs, composed once before the first of them starts.

Hydra composes a job's config when the job starts: a YAML file edited meanwhile changes the later jobs, and on a
cluster "meanwhile" is hours. The composed configs lie in the sweep's folder until the sweep has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import blake3
from omegaconf import DictConfig

from repro_hydra.composed import select, set_value
from repro_hydra.groups import without_repro
from repro_hydra.launcher.pickling import dumps, loads, refers_to_main
from repro_hydra.record.paths import SweepPaths

_BY_VALUE = ".worker"


def config_file(sweep_dir: Path, overrides: Sequence[str]) -> Path:
    """The composed config of the job with these overrides."""
    digest = blake3.blake3("\0".join(overrides).encode()).hexdigest()[:32]
    return SweepPaths(sweep_dir).queue / f"{digest}.config"


class FrozenConfigLoader:
    """A config loader that gives each job the config it was planned with.

    Everything but `load_sweep_config` is the loader's that it stands in front of.
    """

    def __init__(self, inner: Any, sweep_dir: str) -> None:
        self._inner = inner
        self._sweep_dir = sweep_dir

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The config composed beforehand; one that nobody planned is composed now."""
        file = config_file(Path(self._sweep_dir), sweep_overrides)
        by_value = file.with_suffix(_BY_VALUE)
        for candidate in (by_value, file):
            if candidate.is_file():
                config = loads(candidate.read_bytes())
                assert isinstance(config, DictConfig)
                return config
        return self.compose(master_config, sweep_overrides)

    def compose(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Compose the config of one job, in the sweep's real directory."""
        config = self._inner.load_sweep_config(master_config, list(sweep_overrides))
        assert isinstance(config, DictConfig)
        without_repro(config)
        set_value(config, "hydra.sweep.dir", self._sweep_dir)
        # Read from the sweep's frozen copy of the code; the job and its record name the user's own folders.
        sources = select(master_config, "hydra.runtime.config_sources")
        if sources is not None:
            set_value(config, "hydra.runtime.config_sources", sources)
        return config

    def freeze(self, config: DictConfig, sweep_overrides: Sequence[str], *, main_by_reference: bool) -> None:
        """Keep `config` for the job with these overrides, wherever and whenever it starts."""
        file = config_file(Path(self._sweep_dir), sweep_overrides)
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        data = dumps(config, main_by_reference=main_by_reference)
        file.write_bytes(data)
        if main_by_reference and refers_to_main(data):
            # A worker of joblib or submitit has another __main__, where the script's classes are not found.
            file.with_suffix(_BY_VALUE).write_bytes(dumps(config, main_by_reference=False))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_inner":  # while being unpickled
            raise AttributeError(name)
        return getattr(self._inner, name)
