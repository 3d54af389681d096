"""Sweeps that are submitted and left: what can be, and what its user is told."""

from __future__ import annotations

from omegaconf import DictConfig

from repro_hydra.config import ReproConf
from repro_hydra.launcher import slurm
from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.schema import SweepRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.session.findings import Misuse

SLURM = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"
PLANS_BEFOREHAND = ("hydra._internal.core_plugins.basic_sweeper.BasicSweeper",)
"""Sweepers that know all their jobs before the first has ended."""
OTHER_DIRECTORY = "Choose another directory: hydra.sweep.dir=…"
_NAMED_JOBS = 5
_OPTION = "hydra.callbacks.repro.wait=false"


def refuse_unless_it_can_be_left(options: ReproConf, config: DictConfig) -> None:
    """Stop a sweep that is to be left, where its launcher or its sweeper has to stay.

    Raises
    ------
    Misuse
        Naming the launcher or the sweeper.
    """
    if options.wait:
        return
    launcher, sweeper = (str(config.hydra[kind].get("_target_")) for kind in ("launcher", "sweeper"))
    choices = config.hydra.runtime.choices
    if launcher != SLURM:
        name = choices.get("hydra/launcher") or launcher
        raise Misuse(
            f"{_OPTION}: expected a launcher whose jobs go on without this process (submitit_slurm), found "
            f"{name}: its jobs end with it. Leave the option out, or run with: hydra/launcher=submitit_slurm"
        )
    if sweeper not in PLANS_BEFOREHAND:
        name = choices.get("hydra/sweeper") or sweeper
        raise Misuse(
            f"{_OPTION}: expected a sweeper that knows its jobs beforehand (basic), found {name}: it chooses each "
            "job by the results of those before, and has to wait for them. Leave the option out"
        )


def refuse_while_jobs_go_on(paths: SweepPaths) -> None:
    """Stop a sweep in a directory whose jobs the cluster still has, though nobody waits for them.

    Its record would take the place of theirs, and its end would take away the configs that they are yet to read.

    Raises
    ------
    Misuse
        Naming them; also where the cluster does not tell.
    """
    try:
        earlier = read(paths.sweep, SweepRecord)
    except RecordError:
        return  # there is none
    if not earlier.slurm_job_ids or not slurm.is_here():
        return
    ids = [job.job_id for job in earlier.jobs if job.job_id is not None and job.status == "planned"]
    try:
        states = slurm.job_states(ids)
    except slurm.SlurmUnreachable as error:
        raise Misuse(
            f"{paths.sweep_dir}: whether jobs of the sweep that was started there go on cannot be told, since Slurm "
            f"does not answer ({error}). {OTHER_DIRECTORY}"
        ) from None
    going_on = [job for job in ids if job in states and not states[job].is_over]
    if going_on:
        named = ", ".join(going_on[:_NAMED_JOBS]) + (", …" if len(going_on) > _NAMED_JOBS else "")
        raise Misuse(
            f"{paths.sweep_dir}: jobs of the sweep that was started there wait or run on Slurm ({named}). "
            f"{OTHER_DIRECTORY}"
        )


def told_when_left(record: SweepRecord, sweep_dir: str) -> str:
    """What is said when the jobs are with the cluster."""
    jobs = [job for job in record.jobs if job.job_id is not None]
    arrays = ", ".join(record.slurm_job_ids)
    return (
        f"submitted sweep {record.sweep_id}: {len(jobs)} jobs, Slurm {arrays}, in {sweep_dir}\n"
        f"  how far they are:  repro-hydra list {sweep_dir}\n"
        f"  the table:         repro-hydra aggregate {sweep_dir}\n"
        f"  what failed again: repro-hydra resume {sweep_dir}"
    )
