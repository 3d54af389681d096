"""`check`: run, compare, and where runs differ find out why."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from repro_hydra.check.causes import Search
from repro_hydra.check.conditions import Conditions, varied
from repro_hydra.check.document import Check, CheckedRun
from repro_hydra.check.outcome import Outcome, builtins
from repro_hydra.check.pairs import compare_all, first_divergence, spread
from repro_hydra.check.places import (
    MADE_LOCALE,
    PLAIN_LOCALE,
    compile_locale,
    installed_locales,
    kind_of,
    states,
)
from repro_hydra.check.process import Workplace, run_once
from repro_hydra.record.reproduction import Compared, PlacedCause
from repro_hydra.temporary import TemporaryFolder

MOST_EXTRA_RUNS = 12
_TAIL = 400


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user wants checked."""

    command: Sequence[str]
    runs: int = 3
    extra_runs: int = MOST_EXTRA_RUNS
    ignore: Sequence[str] = ()
    keep: bool = False
    strict: Mapping[str, str] | None = None
    """The variables that a strict run of the command wants from its start; None for any other."""
    cwd: Path
    environ: Mapping[str, str]
    say: Callable[[str], None] = field(default=lambda _line: None)
    echo: Callable[[str], None] = field(default=lambda _line: None)


_NOTHING_COMPARED = PlacedCause(
    area="metrics",
    detail="there was nothing to compare: no metric, no file and nothing printed. Return a metric from the task, or "
    "write a file",
)


def check(asked: Asked) -> Check:
    """Run the command `asked.runs` times under conditions that must not matter.

    Raises
    ------
    FileNotFoundError
        There is no such program.
    TooLarge
        The working directory of a program without Hydra is too large to be copied.
    OSError
    """
    scratch = TemporaryFolder("check")
    answer: Check | None = None
    try:
        answer = _check(asked, scratch.path)
        return answer
    finally:
        if answer is None or answer.kept is None:
            scratch.remove()
        else:
            scratch.keep()


def _check(asked: Asked, scratch: Path) -> Check:
    kind = kind_of(asked.command, asked.cwd)
    workplace = Workplace(
        command=asked.command,
        kind=kind,
        cwd=asked.cwd,
        scratch=scratch,
        environ=asked.environ,
        strict=asked.strict,
        locales=installed_locales(asked.environ) if shutil.which("locale") else (PLAIN_LOCALE,),
        echo=asked.echo,
    )
    files = states(asked.cwd) if kind == "hydra" else {}
    changed: list[str] = []

    def run(name: str, conditions: Conditions) -> Outcome:
        asked.say(f"{name.replace('-', ' ')}: {' '.join(asked.command)}")
        return run_once(workplace, name, conditions)

    outcomes: list[Outcome] = []
    for number in range(asked.runs):
        outcomes.append(run(f"run-{number + 1}", varied(number)))
        if number == 0 and outcomes[0].status != 0:
            return _failed(outcomes[0], scratch)
        if number == 0 and kind == "hydra":
            after = states(asked.cwd)
            changed = [name for name, state in after.items() if files.get(name) != state]
        if number == 0 and outcomes[0].noted("locale") and len(workplace.locales) == 1:
            workplace = _with_a_locale(workplace)
    pairs = compare_all(outcomes, asked.ignore)
    compared = pairs[0].compared
    equal = all(pair.equal for pair in pairs)
    not_varied = workplace.not_varied()
    if not outcomes[0].signed_in:
        not_varied["everything inside the interpreter"] = (
            "no process of the command took part: python -I or -E, or an interpreter without repro_hydra"
        )
    causes: list[PlacedCause] = []
    search = Search(
        run=run, most=asked.extra_runs, cwd=asked.cwd, ignore=asked.ignore, skipped=list(not_varied)
    )
    if compared.total == 0 and equal:
        causes = [_NOTHING_COMPARED]
    elif not equal:
        causes = search.find(outcomes, changed)
    reproducible = equal and compared.total > 0
    return Check(
        reproducible=reproducible,
        headline=_headline(reproducible, asked.runs, compared),
        runs=asked.runs,
        pairs=pairs,
        first_divergence=first_divergence(outcomes, pairs, asked.ignore),
        causes=causes,
        spread=spread(outcomes),
        details=[_detail(number, outcome) for number, outcome in enumerate(outcomes, start=1)],
        extra_runs=len(search.outcomes),
        not_varied=not_varied,
        not_compared=changed,
        kept=str(scratch) if asked.keep else None,
    )


def _with_a_locale(workplace: Workplace) -> Workplace:
    """The program sets a locale, and there is none to vary: one is made."""
    folder = workplace.scratch / "locales"
    if not compile_locale(folder, workplace.environ):
        return workplace
    return replace(
        workplace,
        locales=(PLAIN_LOCALE, MADE_LOCALE),
        environ={**workplace.environ, "LOCPATH": str(folder)},
    )


def _failed(outcome: Outcome, scratch: Path) -> Check:
    said = (scratch / "stderr.txt").read_text(errors="replace").strip()[-_TAIL:]
    return Check(
        reproducible=False,
        headline=f"the command fails (status {outcome.status}), so there is nothing to compare",
        runs=1,
        causes=[
            PlacedCause(area="metrics", detail=f"the first run ended with status {outcome.status}: {said}"),
            *(
                PlacedCause(
                    area="determinism",
                    detail=f"[{finding.id}] {finding.message}",
                    file=finding.file,
                    line=finding.line,
                )
                for original in outcome.originals.values()
                for finding in original.run.findings
                if finding.severity != "harmless"
            ),
        ],
        details=[_detail(1, outcome)],
    )


def _headline(reproducible: bool, runs: int, compared: Compared) -> str:
    counts = {
        "metric": compared.metrics,
        "logged value": compared.logged_values,
        "file": compared.files,
        "tensor": compared.tensors,
    }
    told = ", ".join(f"{n} {what}{'' if n == 1 else 's'}" for what, n in counts.items() if n)
    if reproducible:
        return f"REPRODUCIBLE: {runs} runs under varied conditions, all bits equal ({told} in each pair)"
    return (
        f"NOT REPRODUCIBLE: {runs} runs under varied conditions ({told or 'nothing'} compared in each pair)"
    )


def _detail(number: int, outcome: Outcome) -> CheckedRun:
    return CheckedRun(
        number=number,
        status=outcome.status,
        dir=str(outcome.folder),
        conditions=builtins(outcome.conditions),
    )
