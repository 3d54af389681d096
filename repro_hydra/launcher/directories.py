"""The directories that runs, sweeps and their jobs are to write to, before they start."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from repro_hydra.check.inside.start import VARIABLE
from repro_hydra.composed import as_hydra_config, as_written, set_value
from repro_hydra.record.places import place_of, project_of, remember_place
from repro_hydra.record.schema import Finding


def output_directory(config: DictConfig, key: str) -> tuple[Path, bool]:
    """The directory at `key`, absolute, and whether its name holds the time."""
    with as_hydra_config(config):
        value = str(OmegaConf.select(config, key))
    return Path(value).absolute(), "${now:" in as_written(config, key)


def remember(directory: Path, *, stamped: bool) -> None:
    """Let `repro-hydra list` find the run or sweep in `directory`, unless that is gone in a minute."""
    if VARIABLE not in os.environ:  # else a run of a check
        project = project_of(Path.cwd())
        remember_place(project, place_of(directory, project, stamped=stamped))


def job_directory(config: DictConfig, number: int) -> Path | None:
    """Where job `number` will write; None where only its launcher will know (a name made of ``hydra.job.id``)."""
    written = as_written(config, "hydra.sweep.subdir")
    if "hydra.job.id" in written or "hydra:job.id" in written:
        return None
    set_value(config, "hydra.job.num", number)
    with as_hydra_config(config):
        try:
            return Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir)).absolute()
        except OmegaConfBaseException:
            return None


def shared_directories(directories: Sequence[tuple[int, Path | None]]) -> list[Finding]:
    """A finding for each directory that more than one job would write to."""
    users: dict[Path, list[int]] = defaultdict(list)
    for number, directory in directories:
        if directory is not None:
            users[directory].append(number)
    return [
        Finding(
            id=f"job-directories-shared:{directory.name}",
            severity="blocks",
            message=(
                f"{directory}: expected a directory for each job, found that jobs "
                f"{', '.join(map(str, numbers))} would share it. Run with: 'hydra.sweep.subdir=${{hydra.job.num}}'"
            ),
        )
        for directory, numbers in users.items()
        if len(numbers) > 1
    ]
