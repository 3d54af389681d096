"""Why runs differ: everything is held, then one condition after the other released, until the difference is back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from repro_hydra.check.conditions import (
    EXPLANATIONS,
    HELD,
    NAMES,
    Conditions,
    Explanation,
    Name,
    all_varied_but,
    released,
)
from repro_hydra.check.outcome import Outcome
from repro_hydra.check.pairs import compare_pair
from repro_hydra.check.suspects import lines_of
from repro_hydra.record.reproduction import PlacedCause
from repro_hydra.sites import shorten

_MOST_LINES = 5
_SEEN_BY_HOOKS: frozenset[Name] = frozenset(("directory order", "clock", "pool timing"))
"""Where no process ever asked for it, it cannot matter: that run is saved."""
_MOVE_ADDRESSES: frozenset[Name] = frozenset(("time zone", "locale", "run directory"))


@dataclass(kw_only=True)
class Search:
    """The runs made to find a cause.

    Parameters
    ----------
    run : callable
        Runs the command: name of the run, and its conditions.
    most : int
        How many runs may be made.
    """

    run: Callable[[str, Conditions], Outcome]
    most: int
    cwd: Path
    ignore: Sequence[str] = ()
    skipped: Iterable[str] = ()
    """Conditions that cannot be varied here."""
    outcomes: list[Outcome] = field(default_factory=list)

    def find(self, varied: Sequence[Outcome], changed: Sequence[str]) -> list[PlacedCause]:
        """The causes of what differs between the `varied` runs, the likeliest first."""
        causes = self._by_holding(varied)
        causes += _by_findings(varied)
        if changed:
            shown = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
            causes.append(
                PlacedCause(
                    area="files",
                    detail=f"a run changes files in the project that the next one finds: {shown}. Write into the "
                    "run's own directory",
                    file=changed[0],
                )
            )
        if not causes:
            causes.append(_unexplained(varied, looked=bool(self.outcomes)))
        return _each_once(causes)

    def _by_holding(self, varied: Sequence[Outcome]) -> list[PlacedCause]:
        if self.most < 2:
            return []
        held = self._made("held-1", HELD)
        again = self._made("held-2", HELD)
        if not self._equal(held, again):
            return self._by_chance(varied)
        found: list[Name] = []
        for name in self._in_turn(varied):
            if len(self.outcomes) >= self.most:
                break
            run = self._made(name.replace(" ", "-"), released(name))
            if self._equal(held, run):
                continue
            found.append(name)
            if len(self.outcomes) < self.most:
                rest = self._made(f"all-but-{len(found)}", all_varied_but(found))
                if self._equal(held, rest):
                    break  # nothing else makes a difference
        if "addresses" in found:
            # Another value of a variable moves the heap too: that alone accuses none of these.
            found = [
                name
                for name in found
                if name not in _MOVE_ADDRESSES or any(outcome.noted(name) for outcome in varied)
            ]
        return [cause for name in found for cause in self._told(name, varied)]

    def _in_turn(self, varied: Sequence[Outcome]) -> list[Name]:
        """The conditions worth a run, those first that a line of the user's asked for."""
        unknown = not varied[0].signed_in
        pools = any(one.noted("pool") for one in varied)
        noted: set[Name] = {
            name for name in NAMES if any(note.file for one in varied for note in one.noted(name))
        }
        noted |= {"pool timing"} if pools else set()
        left = [
            name
            for name in NAMES
            if name not in self.skipped and (name not in _SEEN_BY_HOOKS or name in noted or unknown)
        ]
        return sorted(left, key=lambda name: name not in noted)

    def _by_chance(self, varied: Sequence[Outcome]) -> list[PlacedCause]:
        """Not even two runs with everything held are equal: threads race, or something is read that changes."""
        if _notes(varied, "pool timing") or _notes(varied, "pool"):
            return self._told("pool timing", varied)
        if self._suspects("addresses", varied):
            # Threads of libraries take memory when they please: addresses are held more or less.
            return self._told("addresses", varied)
        detail = (
            "two runs differ although every condition was held: threads or processes race, a kernel adds in no "
            "fixed order, or something outside is read. Run with +repro=strict, which uses deterministic kernels "
            "and one thread"
        )
        return [PlacedCause(area="determinism", detail=detail)]

    def _told(self, name: Name, varied: Sequence[Outcome]) -> list[PlacedCause]:
        explanation = EXPLANATIONS[name]
        lines = [(note.file, note.line) for note in _notes(varied, name)]
        if not lines and name == "pool timing":
            lines = [(note.file, note.line) for note in _notes(varied, "pool")]
        if not lines:
            lines = self._suspects(name, varied)
        if not lines:
            # Fresh memory holds addresses as often as not, whatever it would have been filled with otherwise.
            unwritten = self._suspects("memory", varied) if name == "addresses" else []
            also = [_cause(EXPLANATIONS["memory"], file, line) for file, line in unwritten[:_MOST_LINES]]
            return [*also, _cause(explanation, None, None)]
        return [_cause(explanation, file, line) for file, line in lines[:_MOST_LINES]]

    def _suspects(self, name: Name, varied: Sequence[Outcome]) -> list[tuple[str, int]]:
        """Lines that no hook sees at work, and that could be to blame."""
        first = varied[0]
        modules = [place.file for place in _notes([first], "module")]
        tree = first.folder / "tree"
        start = str(tree if tree.is_dir() else self.cwd)
        return [(shorten(file, start), line) for file, line in lines_of(name, modules)]

    def _made(self, name: str, conditions: Conditions) -> Outcome:
        outcome = self.run(name, conditions)
        self.outcomes.append(outcome)
        return outcome

    def _equal(self, one: Outcome, other: Outcome) -> bool:
        return compare_pair(one, other, 1, 2, self.ignore).equal


def _notes(outcomes: Sequence[Outcome], kind: str) -> list[_Place]:
    return list(
        dict.fromkeys(
            _Place(note.file, note.line) for outcome in outcomes for note in outcome.noted(kind) if note.file
        )
    )


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    line: int


def _cause(explanation: Explanation, file: str | None, line: int | None) -> PlacedCause:
    where = "" if file is None else f" at {file}:{line}"
    return PlacedCause(
        area=explanation.area,
        detail=f"{explanation.detail}{where}. {explanation.advice}",
        file=file,
        line=line,
    )


def _by_findings(outcomes: Sequence[Outcome]) -> list[PlacedCause]:
    """What the runs' own sessions found."""
    return [
        PlacedCause(
            area="determinism",
            detail=f"[{finding.id}] {finding.message}",
            file=finding.file,
            line=finding.line,
        )
        for outcome in outcomes
        for original in outcome.originals.values()
        for finding in original.run.findings
        if finding.severity == "may_change_bits"
    ]


def _unexplained(outcomes: Sequence[Outcome], *, looked: bool) -> PlacedCause:
    if not looked:
        return PlacedCause(
            area="determinism", detail="not looked for: leave --extra-runs out, and the cause is searched"
        )
    if not outcomes[0].signed_in:
        return PlacedCause(
            area="environment",
            detail="no process of the command took part in the check (python -I or -E, or an interpreter without "
            "repro_hydra), so that only its environment was varied",
        )
    return PlacedCause(
        area="determinism",
        detail="it differs now and then: every run that was made to find the cause came out the same. Check again "
        "with more runs: --runs 10",
    )


def _each_once(causes: Sequence[PlacedCause]) -> list[PlacedCause]:
    seen: dict[tuple[str, str | None, int | None], PlacedCause] = {}
    for cause in causes:
        key = (cause.area if cause.file else cause.detail, cause.file, cause.line)
        seen.setdefault(key, cause)
    return list(seen.values())
