"""What a report says of reproducibility: the promise run by run, what was waived or found, what was run again."""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list or dict)
from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from repro_hydra.record.find import walk
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.plain_file import read_plain
from repro_hydra.record.reproduction import VERDICTS, Reproduction
from repro_hydra.record.schema import JSON, Finding, Part
from repro_hydra.record.store import RecordError, read
from repro_hydra.sweep.facts import RunFacts

_SEVERITIES = ("blocks", "may_change_bits", "harmless")


class RunTold(Part, frozen=True, kw_only=True):
    """The fields of ``run.json`` that a page tells beside those of `RunFacts`."""

    argv: list[str] = []
    cwd: str = ""
    host: str = ""
    launcher: str | None = None
    mode: str = ""
    note: str | None = None
    tags: list[str] = []
    ended_at: str | None = None
    duration_s: float | None = None
    peak_memory_bytes: int | None = None
    world_size: int = 1
    waived: dict[str, str] = {}
    findings: list[Finding] = []


_decode = msgspec.json.Decoder(RunTold).decode


def read_told(run: RunFacts) -> RunTold:
    """What `run` tells; nothing of it where the file cannot be read any more."""
    try:
        return _decode(read_plain(RunPaths(Path(run.dir)).run))
    except (OSError, msgspec.DecodeError, RecursionError):
        return RunTold()


@dataclass(frozen=True, slots=True)
class Told:
    """A finding or a waiver, and how many runs have it."""

    id: str
    severity: str
    message: str
    runs: int


@dataclass(frozen=True, slots=True)
class RunAgain:
    """A reproduction of one of the runs."""

    verdict: str
    headline: str
    run: str
    reproduction: str | None
    upheld: str | None
    waived: dict[str, str]


@dataclass(slots=True)
class Promise:
    """Whether the results can be had again, as far as is known."""

    completed: int = 0
    upheld: dict[str, int] = field(default_factory=dict)
    """yes, waived, no, not_promised: completed runs of each."""
    waivers: list[Told] = field(default_factory=list)
    findings: list[Told] = field(default_factory=list)
    reproductions: list[RunAgain] = field(default_factory=list)
    """The worst verdict first."""

    @property
    def headline(self) -> str:
        """In a sentence."""
        kept, waived = self.upheld.get("yes", 0), self.upheld.get("waived", 0)
        if not self.completed:
            return "No run completed, so there is no result to be had again."
        if kept == self.completed:
            which = "The one completed run" if self.completed == 1 else f"All {self.completed} completed runs"
            return f"{which} upheld the promise: same record, same bits."
        parts = [f"{kept} of {self.completed} completed runs upheld the promise (same record, same bits)"]
        if waived:
            parts.append(f"{waived} by waiver")
        if self.upheld.get("no"):
            parts.append(f"{self.upheld['no']} did not")
        if self.upheld.get("not_promised"):
            parts.append(f"for {self.upheld['not_promised']} nothing was promised")
        return "; ".join(parts) + "."

    @property
    def verdicts(self) -> dict[str, int]:
        """Reproductions of each verdict, the best first."""
        counts = Counter(item.verdict for item in self.reproductions)
        return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}


def promise_of(runs: Sequence[RunFacts], told: Sequence[RunTold], places: Iterable[Path]) -> Promise:
    """What is known of the promise of `runs`.

    Parameters
    ----------
    runs, told : sequences of equal length
        The runs, and what else their records tell.
    places : iterable of Path
        Where reproductions of them may lie.
    """
    completed = [run for run in runs if run.status == "completed"]
    waivers: Counter[tuple[str, str]] = Counter()
    findings: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    for item in told:
        waivers.update((name, reason) for name, reason in item.waived.items())
        kinds = {(finding.id, finding.severity) for finding in item.findings if finding.waived is None}
        findings.update(kinds)
        for finding in item.findings:
            first.setdefault((finding.id, finding.severity), finding.message)
    return Promise(
        completed=len(completed),
        upheld=dict(Counter(str(run.upheld) for run in completed)),
        waivers=[Told(name, "waived", reason, count) for (name, reason), count in sorted(waivers.items())],
        findings=[
            Told(name, severity, first[name, severity], count)
            for (name, severity), count in sorted(
                findings.items(), key=lambda item: (_SEVERITIES.index(item[0][1]), item[0][0])
            )
        ],
        reproductions=_reproductions({run.run_id for run in runs}, places),
    )


def _reproductions(run_ids: set[str], places: Iterable[Path]) -> list[RunAgain]:
    found: dict[str, RunAgain] = {}
    for located in walk(places):
        if located.kind != "run":
            continue
        path = RunPaths(Path(located.dir)).reproduction
        if not path.exists():
            continue
        try:
            record = read(path, Reproduction)
        except RecordError:
            continue  # `verify` tells what is wrong with it; a verdict that cannot be read is none
        if record.run_id in run_ids:
            found.setdefault(
                record.reproduction_run_id or located.dir,
                RunAgain(
                    record.verdict, record.headline, record.run, located.dir, record.upheld, record.waived
                ),
            )
    return sorted(found.values(), key=lambda item: (-VERDICTS.index(_known(item.verdict)), item.run))


def _known(verdict: JSON) -> JSON:
    return verdict if verdict in VERDICTS else VERDICTS[-1]
