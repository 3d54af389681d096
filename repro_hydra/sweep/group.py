"""Runs put together: one group for each configuration, with what the sweep had planned for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from repro_hydra.record.schema import SweepJob
from repro_hydra.sweep.configuration import Leaves, identity, leaves_of_overrides, narrow, without_seed
from repro_hydra.sweep.facts import Collected, RunFacts, SweepFacts


class UnknownKey(ValueError):
    """A key to group by that no run's config has."""


@dataclass(slots=True)
class Group:
    """The runs of one configuration."""

    leaves: Leaves
    """What tells it from the others: of the config, or of `--by`, or of the overrides."""
    from_overrides: bool = False
    """No run of it left a config."""
    runs: list[RunFacts] = field(default_factory=list)
    configurations: set[bytes] = field(default_factory=set)
    """More than one where the grouping was asked for by key."""
    planned: int | None = None
    """None: no sweep says."""
    missing: list[SweepJob] = field(default_factory=list)
    failed_unrecorded: list[tuple[SweepFacts, SweepJob]] = field(default_factory=list)
    """Failed as the sweep knows, without a record to show for it."""


Jobs = dict[tuple[str, int], list[RunFacts]]
_Overrides = tuple[str, tuple[str, ...]]


def group_runs(collected: Collected, by: Sequence[str] | None) -> list[Group]:
    """The groups, in the order in which their first run or planned job comes.

    Parameters
    ----------
    by : sequence of str, optional
        Keys of the config (a node stands for all below it) that alone make a configuration.

    Raises
    ------
    UnknownKey
        For a key in `by` that no config has.
    """
    if by and collected.configurations:
        _check_keys(by, collected)
    groups: dict[bytes, Group] = {}
    siblings: dict[_Overrides, Group] = {}
    without_config: list[RunFacts] = []
    for run in collected.runs:
        if run.configuration is None:
            without_config.append(run)
            continue
        leaves = collected.configurations[run.configuration]
        if by:
            leaves = narrow(leaves, by)
        group = groups.setdefault(identity(leaves), Group(leaves))
        group.runs.append(run)
        group.configurations.add(run.configuration)
        siblings.setdefault(_place(run.sweep_id, run.overrides, run.seed_key), group)
    for run in without_config:
        place = _place(run.sweep_id, run.overrides, run.seed_key)
        _group_of_overrides(groups, siblings, place, by).runs.append(run)
    jobs = runs_of_jobs(collected.runs)
    for sweep in _distinct(collected.sweeps):
        _plan(sweep, groups, siblings, jobs, collected, by)
    return list(groups.values())


def runs_of_jobs(runs: Iterable[RunFacts]) -> Jobs:
    """Sweep id and job number to the job's runs: more than one where it was run again."""
    jobs: Jobs = {}
    for run in runs:
        if run.sweep_id is not None and run.job_num is not None:
            jobs.setdefault((run.sweep_id, run.job_num), []).append(run)
    return jobs


def _plan(
    sweep: SweepFacts,
    groups: dict[bytes, Group],
    siblings: dict[_Overrides, Group],
    jobs: Jobs,
    collected: Collected,
    by: Sequence[str] | None,
) -> None:
    of_run = {id(run): group for group in groups.values() for run in group.runs}
    record = sweep.record
    for job in record.jobs:
        if (record.sweep_id, job.num) in collected.not_selected:
            continue
        runs = jobs.get((record.sweep_id, job.num), [])
        if runs:
            group = of_run[id(runs[0])]
        else:
            place = _place(record.sweep_id, job.overrides, record.seed_key)
            if collected.not_selected and place not in siblings:
                continue  # of its configuration nothing was selected, so nothing of it is missed
            group = _group_of_overrides(groups, siblings, place, by)
        group.planned = (group.planned or 0) + 1
        if runs or (job.dir is not None and f"{sweep.dir}/{job.dir}" in collected.unusable):
            continue
        if job.status == "failed":
            group.failed_unrecorded.append((sweep, job))
        else:
            group.missing.append(job)


def _group_of_overrides(
    groups: dict[bytes, Group], siblings: dict[_Overrides, Group], place: _Overrides, by: Sequence[str] | None
) -> Group:
    """The group of a job of which only the overrides are known: that of its siblings with the same ones."""
    known = siblings.get(place)
    if known is not None:
        return known
    leaves = leaves_of_overrides(place[1])
    if by:
        leaves = narrow(leaves, by)
    group = groups.setdefault(b"overrides:" + identity(leaves), Group(leaves, from_overrides=True))
    siblings[place] = group
    return group


def _place(sweep_id: str | None, overrides: Iterable[str], seed_key: str) -> _Overrides:
    # The same overrides in two sweeps may stand on two primary configs: siblings are of one sweep.
    return sweep_id or "", without_seed(overrides, seed_key)


def _distinct(sweeps: Iterable[SweepFacts]) -> list[SweepFacts]:
    # A copied sweep plans nothing anew.
    distinct: dict[str, SweepFacts] = {}
    for sweep in sweeps:
        distinct.setdefault(sweep.record.sweep_id, sweep)
    return list(distinct.values())


def _check_keys(by: Sequence[str], collected: Collected) -> None:
    seed_keys = {run.seed_key for run in collected.runs}
    for key in by:
        if key in seed_keys:
            raise UnknownKey(f"--by {key}: this is the seed, whose runs are the repeats within each row")
        if not any(narrow(leaves, [key]) for leaves in collected.configurations.values()):
            some = sorted({leaf for leaves in collected.configurations.values() for leaf in leaves})
            shown = ", ".join(some[:20]) + (", …" if len(some) > 20 else "")
            raise UnknownKey(
                f"--by {key}: expected a key of the runs' configs, found none of this name in: {shown}"
            )
