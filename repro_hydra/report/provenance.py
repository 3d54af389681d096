"""Where results come from: commands, code, data, packages, machine; each version of it once, with its runs counted."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from repro_hydra.record.store import RecordError
from repro_hydra.report.promise import RunTold
from repro_hydra.reproduce.original import Original, read_original
from repro_hydra.sweep.facts import RunFacts, SweepFacts

_MAIN_PACKAGES = ("torch", "numpy", "scipy", "hydra-core", "omegaconf", "repro-hydra", "scikit-learn", "jax")
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: what, and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the code, the data or the environment, and how many runs stand on it."""

    runs: int
    facts: list[Fact]
    packages: list[str] = field(default_factory=list)
    """``name==version``, of the run that stands for it."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """All of it."""

    commands: list[Fact]
    """The command, and how many runs it started."""
    sweeps: list[list[str]]
    """Directory, sweeper, launcher, planned jobs."""
    code: list[Version]
    data: list[Version]
    environments: list[Version]
    hosts: list[str]


def provenance_of(
    runs: Sequence[RunFacts], told: Sequence[RunTold], sweeps: Iterable[SweepFacts]
) -> Provenance:
    """Where the results of `runs` come from.

    Parameters
    ----------
    runs, told : sequences of equal length
        The runs, and what else their records tell.
    sweeps : iterable of SweepFacts
        Those that planned them.
    """
    commands = Counter(shlex.join(["python", *item.argv]) for item in told if item.argv)
    hosts = Counter(item.host for item in told if item.host)
    return Provenance(
        commands=[Fact(command, _runs(count)) for command, count in commands.most_common()],
        sweeps=[
            [sweep.dir, sweep.record.sweeper, sweep.record.launcher, str(len(sweep.record.jobs))]
            for sweep in sweeps
        ],
        code=_versions(runs, lambda run: run.code, _code),
        data=_versions([run for run in runs if run.data], lambda run: run.data, _data),
        environments=_versions(runs, lambda run: (run.packages, run.python), _environment),
        hosts=[f"{host} ({_runs(count)})" for host, count in hosts.most_common()],
    )


def _versions(
    runs: Iterable[RunFacts],
    identity: Callable[[RunFacts], Hashable],
    describe: Callable[[Original], Sequence[Fact]],
) -> list[Version]:
    """Each distinct identity once, described by its first run, the commonest first."""
    runs = list(runs)
    first: dict[Hashable, RunFacts] = {}
    for run in runs:
        first.setdefault(identity(run), run)
    counts = Counter(map(identity, runs))
    found = []
    for key, count in counts.most_common():
        try:
            original = read_original(Path(first[key].dir))
        except RecordError as error:
            found.append(Version(count, [Fact("unknown", str(error))]))
            continue
        problems = [Fact("damaged", problem) for problem in original.problems]
        found.append(Version(count, [*describe(original), *problems], _packages(original)))
    return found


def _code(original: Original) -> list[Fact]:
    code = original.code
    if code is None:
        return [Fact("code", _UNKNOWN)]
    dirty = len(code.dirty_files) + len(code.untracked_files)
    state = (
        "whether files differed from it is unknown"
        if code.dirty is None
        else f"{dirty} files differed from it and were captured"
        if code.dirty
        else "nothing differed from it"
    )
    facts = [
        Fact("commit", f"{code.commit or 'none yet'} ({state})"),
        Fact("message", f"{code.commit_message or 'none'} ({code.commit_date or 'no date'})"),
        Fact("branch", code.branch or "none (detached)"),
        Fact("remote", f"{code.remote or 'none'}; commit is there: {_yes_no(code.on_remote)}"),
        Fact("snapshot", code.snapshot or "none"),
    ]
    if code.not_captured:
        facts.append(Fact("not captured", ", ".join(sorted(code.not_captured))))
    return facts


def _data(original: Original) -> list[Fact]:
    data = original.data
    if data is None:
        return [Fact("data", _UNKNOWN)]
    facts = [
        Fact(item.name, f"{item.digest}, {item.files} files, {item.size_bytes} bytes, {item.path}")
        for item in data.datasets
    ]
    if data.inputs:
        facts.append(Fact("read, not declared", ", ".join(item.path for item in data.inputs[:10])))
    return facts


def _environment(original: Original) -> list[Fact]:
    found = original.environment
    if found is None:
        return [Fact("environment", _UNKNOWN)]
    versions = {item.name.lower().replace("_", "-"): item.version for item in original.distributions or ()}
    main = ", ".join(f"{name} {versions[name]}" for name in _MAIN_PACKAGES if name in versions)
    gpus = (
        _UNKNOWN if found.gpus is None else ", ".join(gpu.name or "unnamed" for gpu in found.gpus) or "none"
    )
    pools = ", ".join(
        f"{pool.internal_api} {pool.version or ''} ({pool.threads} threads)"
        for pool in found.thread_pools or ()
    )
    accelerators = found.accelerators
    facts = [
        Fact("Python", f"{found.interpreter.implementation} {found.interpreter.version}"),
        Fact("main packages", main or _UNKNOWN),
        Fact("system", f"{found.platform.distribution or found.platform.system}, {found.platform.machine}"),
        Fact("CPU", f"{found.cpu.model or _UNKNOWN}; instruction set {found.cpu.capability or _UNKNOWN}"),
        Fact("GPU", gpus),
        Fact("numeric libraries", pools or _UNKNOWN),
        Fact("digest of all packages", found.distributions_digest or _UNKNOWN),
    ]
    if accelerators.driver or accelerators.cuda:
        facts.insert(
            5, Fact("CUDA", f"{accelerators.cuda}, cuDNN {accelerators.cudnn}, driver {accelerators.driver}")
        )
    if found.threads:
        facts.append(Fact("threads", ", ".join(f"{name} {count}" for name, count in found.threads.items())))
    return facts


def _packages(original: Original) -> list[str]:
    return sorted((f"{item.name}=={item.version}" for item in original.distributions or ()), key=str.lower)


def _runs(count: int) -> str:
    return "1 run" if count == 1 else f"{count} runs"


def _yes_no(value: bool | None) -> str:
    return _UNKNOWN if value is None else "yes" if value else "no"
