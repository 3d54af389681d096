"""The jobs of a batch, before any starts: composed, checked, frozen, with their seeds and directories."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from repro_hydra.composed import env_set, select
from repro_hydra.config import Mode, ReproConf
from repro_hydra.groups import check_groups
from repro_hydra.launcher.directories import job_directory, shared_directories
from repro_hydra.launcher.frozen import FrozenConfigLoader
from repro_hydra.launcher.task import JobStart
from repro_hydra.record.schema import Finding, SweepJob
from repro_hydra.repeats.plain import BadRepeats, PlainRepeats, check_repeats
from repro_hydra.seed import SeedError, choose_seeds
from repro_hydra.session import capture
from repro_hydra.session.claim import check_directory
from repro_hydra.session.datasets import plan_for_job
from repro_hydra.session.findings import Misuse
from repro_hydra.session.interpreter import check_env_set
from repro_hydra.session.plan import Plan, options_from
from repro_hydra.session.promise import weakened


@dataclass
class Batch:
    """What is planned, and what speaks against it."""

    jobs: list[SweepJob] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


class Planner:
    """Plans the jobs of one sweep.

    Parameters
    ----------
    options : ReproConf
        The sweep's own; a job's are read from its config.
    in_use : bool
        The jobs' directories hold their earlier attempts, with which they go on.
    """

    def __init__(self, options: ReproConf, start: JobStart, plan: Plan, *, in_use: bool = False) -> None:
        self._options = options
        self._start = start
        self._plan = plan
        self._in_use = in_use
        self._isolates = options.mode is not Mode.record

    def plan(
        self,
        loader: FrozenConfigLoader,
        config: DictConfig,
        job_overrides: Sequence[Sequence[str]],
        numbers: Sequence[int],
    ) -> Batch:
        """Compose and check them all, and freeze their configs where they run in processes of their own.

        Raises
        ------
        Misuse
            A seed or an option of a job that cannot be.
        """
        batch = Batch()
        assert self._plan.sweep is not None
        sweep_dir = Path(self._plan.sweep.sweep_dir)
        places: list[tuple[int, Path | None]] = []
        by_reference = self._start.program is not None
        for number, overrides in zip(numbers, job_overrides, strict=True):
            job_config = loader.compose(config, list(overrides))
            options = self._options_of(job_config)
            seed = self._seed_of(job_config, options, number)
            batch.findings += weakened(options)
            if self._plan.data is not None:
                batch.findings += plan_for_job(self._plan.data, options.data, Path(self._plan.cwd))
            batch.findings += check_env_set(env_set(job_config), self._start.required_for(job_config))
            if self._isolates:
                loader.freeze(job_config, list(overrides), main_by_reference=by_reference)
            directory = job_directory(job_config, number)
            places.append((number, directory))
            if directory is not None and not self._in_use:
                batch.findings += check_directory(directory, stamped=False)
            relative = None if directory is None else os.path.relpath(directory, sweep_dir)
            batch.jobs.append(
                SweepJob(num=number, overrides=capture.redacted_argv(overrides), dir=relative, seed=seed)
            )
        batch.findings += shared_directories(places)
        return batch

    def repeats(self, config: DictConfig) -> PlainRepeats | None:
        """How each job is repeated; None where it is run once.

        Raises
        ------
        Misuse
            Repeats that cannot be.
        """
        options = self._options.seed
        configured = select(config, options.key)
        try:
            check_repeats(options.repeats, options.repeats_as)
            if options.repeats == 1:
                return None
            first_seed = choose_seeds(options, configured).seed
        except (BadRepeats, SeedError) as error:
            raise Misuse(str(error)) from None
        return PlainRepeats(
            count=options.repeats,
            first_seed=first_seed,
            seed_override=f"{'++' if configured is None else ''}{options.key}",
            statistic=options.repeats_as,
            metric=self._options.primary_metric,
        )

    def _options_of(self, config: DictConfig) -> ReproConf:
        check_groups(config)
        node = select(config, "hydra.callbacks.repro")
        options = self._options if node is None else options_from(node)
        if options.mode is not self._options.mode:
            raise Misuse(
                f"+repro: expected {self._options.mode.value} for each job, found {options.mode.value}: a mode cannot "
                "be swept. Start one sweep for each"
            )
        return options

    def _seed_of(self, config: DictConfig, options: ReproConf, number: int) -> Any:
        configured = select(config, options.seed.key)
        if not options.seed.set:
            return configured if isinstance(configured, (int, float, str)) else None
        try:
            return choose_seeds(options.seed, configured).seed
        except SeedError as error:
            raise Misuse(f"job {number}: {error}") from None
