"""Write ``docs/faults.md`` from the catalogue of faults, and measure what stands in its other columns.

python scripts/make_faults_docs.py             # write it, from what was measured
python scripts/make_faults_docs.py --check     # exit status 1 if it is not up to date
python scripts/make_faults_docs.py --measure [NAME...]   # first run each fault under plain Hydra and standard
python scripts/make_faults_docs.py --seen LOG            # take what strict did from `pytest -v -n 2 tests/faults > LOG`
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import date
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parent.parent
FAULTS = TOP / "tests" / "faults"
sys.path.insert(0, str(FAULTS))

from arena import Arena, outcome_of, what_is_missing  # noqa: E402 (they lie with the tests)
from catalogue import GROUPS, OUTCOMES, Case, load, names  # noqa: E402

DOCUMENT = TOP / "docs" / "faults.md"
MEASURED = FAULTS / "measured.json"
CLEAN_RUNS = FAULTS / "clean_runs.json"
DEVICE = "CPU"

_HEAD = """\
# Causes of irreproducibility, and what becomes of each

<!-- Written by scripts/make_faults_docs.py from tests/faults: change the cases, not this file. -->

Each row is a real cause, shown by the smallest script that has it (`tests/faults/cases/NAME/fault.py`, beside a twin
that does the same well). The tests run each under `+repro=strict`: **prevented** means that two runs, made with
everything that had made them differ, are equal to the bit (or that `reproduce` is, after the code has moved on);
**refused**, that the run does not start, and the message names the cause; **reported**, that it runs, its result is
kept, the cause is named with its line, and `upheld` is `no`; **found by check**, that no single run can tell, and
`repro-hydra check` names the cause. A fault that passes in silence, or a twin that is accused, fails the tests.

*Plain Hydra* and *standard* say what was seen without strict: whether two runs differ, and whether anybody named a
cause. Equal is no acquittal: the two were made as `check` makes them, or with what the case changes in between, and
what was equal here may differ on another machine, with another seed, or after the code or the data has changed. Plain
Hydra sets no seed: where a script draws without one (the three for a GPU do), that alone makes two of its runs differ.
"""


def document() -> str:
    """The whole of ``docs/faults.md``."""
    measured = read(MEASURED)
    cases = [load(name)[0] for name in names()]
    parts = [_HEAD, _summary(cases, measured)]
    for group in GROUPS:
        rows = [case for case in cases if case.group == group]
        parts.append(_table(group, rows, measured))
    parts.append(_clean_runs(read(CLEAN_RUNS)))
    return "\n".join(parts)


def _summary(cases: list[Case], measured: dict[str, Any]) -> str:
    seen = [case for case in cases if _seen(case, measured) != "never"]
    waiting = [case for case in cases if case.pending]
    counts = ", ".join(
        f"{sum(case.outcome == outcome for case in seen if not case.pending)} {words}"
        for outcome, words in OUTCOMES.items()
    )
    lines = [f"{len(seen) - len(waiting)} of {len(cases)} faults were seen to be caught: {counts}."]
    if waiting:
        lines.append(f"Not caught yet: {', '.join(f'`{case.name}`' for case in waiting)}.")
    never = [case.name for case in cases if _seen(case, measured) == "never"]
    if never:
        lines.append(
            f"Never seen, since no such device was there, so that they count for nothing: {', '.join(never)}."
        )
    return "\n".join(lines) + "\n"


def _table(group: str, cases: list[Case], measured: dict[str, Any]) -> str:
    lines = [
        f"## {group.capitalize()}",
        "",
        "| fault | case | plain Hydra | standard | strict | seen on |",
        "|---|---|---|---|---|---|",
    ]
    for case in cases:
        found = measured.get(case.name, {})
        strict = "not caught yet" if case.pending else OUTCOMES[case.outcome]
        name = case.finding or (case.cause if case.outcome == "check" else "")
        strict += f": `{name.rstrip(':')}`" if case.finding else f": {name}" if name else ""
        unknown = "— (no GPU was there)" if case.needs == "gpu" else "—"
        plain, standard = found.get("plain", unknown), found.get("standard", unknown)
        lines.append(
            f"| {case.title} | `{case.name}` | {plain} | {standard} | {strict} | {_seen(case, measured)} |"
        )
    return "\n".join(lines) + "\n"


def _seen(case: Case, measured: dict[str, Any]) -> str:
    return str(measured.get(case.name, {}).get("seen", "never"))


def _clean_runs(found: dict[str, Any]) -> str:
    runs: dict[str, int] = found.get("runs", {})
    total, accused = sum(runs.values()), len(found.get("accused", []))
    lines = ["## Clean runs", ""]
    if not total:
        lines.append("Not counted yet.")
        return "\n".join(lines) + "\n"
    told = ", ".join(f"{count} of {name}" for name, count in runs.items())
    lines.append(f"{accused} of {total} clean runs under strict raised an alarm ({told}; {found['seen']}).")
    if accused == 0:
        lines.append(
            f"That does not prove that none ever does: with 0 of {total} the rate lies below "
            f"{100 * upper_bound(total):.1f} % at 95 % confidence (1 - 0.05^(1/{total}))."
        )
    return "\n".join(lines) + "\n"


def upper_bound(runs: int, confidence: float = 0.95) -> float:
    """The largest rate that no event in `runs` leaves possible (Clopper-Pearson, one-sided)."""
    return 1 - math.exp(math.log(1 - confidence) / runs)


# ---------------------------------------------------------------------------------- what is measured


def measure(wanted: list[str]) -> int:
    """Run the faults, and write down what was seen; how many could not be run."""
    cases = [load(name)[0] for name in wanted or names()]
    failed = 0
    with ThreadPoolExecutor(2) as pool:
        jobs = {
            pool.submit(lambda case=case: (_differs(case, "record"), _differs(case, "standard"))): case.name
            for case in cases
            if what_is_missing(case.needs) is None
        }
        for job in as_completed(jobs):
            try:
                plain, standard = job.result()
            except Exception as error:  # noqa: BLE001 (hours of the others' runs must not be lost with one)
                failed += 1
                print(f"{jobs[job]}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            else:
                note(jobs[job], plain=plain, standard=standard)
    return failed


def take_seen(log: Path) -> None:
    """The faults that strict has caught, by what ``pytest -v tests/faults`` said."""
    lines = [line for line in log.read_text().splitlines() if "PASSED" in line]  # before the name under xdist
    for name in re.findall(r"test_faults\.py::test_fault\[([^]]+)\]", "\n".join(lines)):
        if name in names():
            note(name, seen=f"{DEVICE}, {date.today().isoformat()}")


def note(name: str, **values: str) -> None:
    """Write down what was seen of a fault."""
    measured = read(MEASURED)
    measured[name] = {**measured.get(name, {}), **values}
    MEASURED.write_text(json.dumps(measured, indent=2, sort_keys=True) + "\n")
    print(f"{name}: {values}", flush=True)


def _differs(case: Case, mode: str) -> str:
    """What two runs of the fault come to: by `check`, or with what happens between them; and what was said of it."""
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena(Path(folder), case, "fault")
        if case.again or case.again_environment or "-m" in case.arguments or case.outcome == "refused":
            differ = _two_runs(arena, case, mode)
        else:
            code, answer, _ = arena.check(mode, "--runs", "2", "--extra-runs", "0")
            differ = "fails" if answer.get("headline", "").startswith("the command fails") else code == 1
            if mode == "standard" and not isinstance(differ, str):
                # The runs of `check` are gone with their records: one more, of which everything said is kept.
                differ = _no_result(arena.run(mode)) or differ
        if isinstance(differ, str):
            return differ
        return _words(differ, mode == "standard" and bool(arena.findings()))


def _two_runs(arena: Arena, case: Case, mode: str) -> bool | str:
    """Whether two runs differ; where one came to no result, in a word why."""
    first = arena.run(mode)
    if first.returncode != 0 or not arena.runs():
        return _no_result(first) or "fails"
    one = outcome_of(arena.runs()[-1])
    arena.change()
    again = arena.run(mode, case.again_arguments or None, case.again_environment or None)
    return _no_result(again) or outcome_of(arena.runs()[-1]) != one


def _no_result(done: subprocess.CompletedProcess[str]) -> str | None:
    if done.returncode == 0:
        return None
    return "refused, said" if " refuses " in done.stderr else "fails"


def _words(differ: bool, told: bool) -> str:
    return f"{'differs' if differ else 'equal'}{', said' if told else ', nothing said' if differ else ''}"


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def main(arguments: list[str]) -> int:
    if "--seen" in arguments:
        take_seen(Path(arguments[arguments.index("--seen") + 1]))
    failed = 0
    if "--measure" in arguments:
        failed = measure([name for name in arguments if not name.startswith("--")])
    text = document()
    if "--check" in arguments:
        if not DOCUMENT.exists() or DOCUMENT.read_text() != text:
            print(f"{DOCUMENT} is not up to date: python scripts/make_faults_docs.py", file=sys.stderr)
            return 1
        return 0
    DOCUMENT.write_text(text)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
