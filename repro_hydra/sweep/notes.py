"""What a reader must know of a row before believing its numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from repro_hydra.record.schema import JSON, SweepJob
from repro_hydra.sweep.configuration import varying_keys
from repro_hydra.sweep.facts import Collected, RunFacts
from repro_hydra.sweep.group import Group
from repro_hydra.sweep.ignored_seeds import Repeat, equal_weights, told

_MOST_NAMED = 8


def notes_of_group(group: Group, collected: Collected) -> list[str]:
    """Notes that hold for each metric of a configuration."""
    notes = []
    gone = [job for job in group.missing if job.status == "completed"]
    never = [job for job in group.missing if job.status != "completed"]
    if gone:
        notes.append(f"completed, and the record is gone: {_jobs(gone)}")
    if never:
        notes.append(f"planned, and no run of it is there: {_jobs(never)}")
    if group.from_overrides:
        notes.append("no run of it left a config: the overrides are shown")
    strangers = sum(run.sweep_id is None for run in group.runs)
    if group.planned is not None and strangers:
        notes.append(f"{_count(strangers, 'run')} beside the planned ones, of no sweep")
    if len(group.configurations) > 1:
        differing = varying_keys([collected.configurations[key] for key in sorted(group.configurations)])
        notes.append(f"the runs also differ in {_some(differing)}: they are no repeats of one another")
    return notes


def notes_of_runs(runs: Sequence[RunFacts]) -> list[str]:
    """Notes on the runs whose values stand in one row."""
    notes = []
    alone = only_seed(runs)
    if alone is not None:
        notes.append(f"neither stable nor unstable: all {len(runs)} runs have the seed {alone}")
    repeated = [seed for seed, count in Counter(_name(run.seed) for run in runs).items() if count > 1]
    if repeated:
        notes.append(
            f"seeds that were run more than once: {_some(repeated)}; such runs are not independent, so the "
            "interval is too narrow"
        )
    notes += _notes_of_ranks(runs)
    not_upheld = [run for run in runs if run.upheld == "no"]
    if not_upheld:
        notes.append(f"{len(not_upheld)} of {_count(len(runs), 'run')} not upheld: {_seeds(not_upheld)}")
    waived = [run for run in runs if run.upheld == "waived"]
    if waived:
        notes.append(f"{len(waived)} of {_count(len(runs), 'run')} upheld by waiver only: {_seeds(waived)}")
    ignored = equal_weights(Repeat(run.dir, run.seed, run.result) for run in runs)
    notes += [told(equal) for equal in ignored]
    return [*notes, *differences_of_runs(runs), *_unknown_of_runs(runs)]


def only_seed(runs: Sequence[RunFacts]) -> JSON:
    """The one seed that several runs share; None where there are others, where it is unknown, and for a single run."""
    seeds = {_name(run.seed) for run in runs}
    return runs[0].seed if len(runs) > 1 and len(seeds) == 1 else None


def _notes_of_ranks(runs: Sequence[RunFacts]) -> list[str]:
    """With ``seed + rank``, rank 1 of one seed draws what rank 0 of the next one draws."""
    offset = [run for run in runs if run.rank_offset]
    if not offset or len(runs) < 2:
        return []
    what = "rank 1 of seed 0 draws what rank 0 of seed 1 draws (seed.rank_offset)"
    ranks = max(run.world_size for run in offset)
    if ranks == 1:
        return [f"independent repeats only if each run had one rank, as recorded: {what}"]
    seeds = sorted({run.seed for run in runs if type(run.seed) is int})
    if all(after - before >= ranks for before, after in pairwise(seeds)):
        return []
    apart = f"seeds {ranks} apart would be: seed=range(0,{ranks * max(2, len(seeds))},{ranks})"
    return [f"the repeats are not independent, so the interval is too narrow: {what}; {apart}"]


def differences_of_runs(runs: Sequence[RunFacts]) -> list[str]:
    """In what the runs of one row differ although they should be repeats: code, data, environment."""
    notes = []
    for what, identities, short in _identities(runs):
        known = [identity for identity in Counter(identities) if identity is not None]
        if len(known) > 1:
            shown = _some([short(identity) for identity in known])
            notes.append(f"the runs differ in {what} ({shown}): they are no repeats of one another")
    return notes


def _unknown_of_runs(runs: Sequence[RunFacts]) -> list[str]:
    notes = []
    for what, identities, _ in _identities(runs):
        counts = Counter(identities)
        if len(counts) == 2 and counts[None]:
            notes.append(f"{what} unknown for {_count(counts[None], 'run')}")
    return notes


_Identities = tuple[str, list[str | None], Callable[[str], str]]


def _identities(runs: Sequence[RunFacts]) -> list[_Identities]:
    return [
        ("code", [run.code for run in runs], _first_digits),
        ("data", [run.data for run in runs], _short_datasets),
        ("installed packages", [run.packages for run in runs], _first_digits),
        ("Python", [run.python for run in runs], lambda version: version.split()[0]),
    ]


def _first_digits(identity: str) -> str:
    return identity[:10]


def _short_datasets(identity: str) -> str:
    names = [item.rpartition("@") for item in identity.split()]
    return " + ".join(f"{name} {digest.rpartition(':')[2][:10]}" for name, _, digest in names) or "none"


def _jobs(jobs: Iterable[SweepJob]) -> str:
    return _some([f"seed {job.seed}" if job.seed is not None else f"job {job.num}" for job in jobs])


def _seeds(runs: Iterable[RunFacts]) -> str:
    return _some([f"seed {_name(run.seed)}" for run in runs])


def _name(seed: JSON) -> str:
    return "unknown" if seed is None else str(seed)


def _some(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
