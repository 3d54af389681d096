"""``repro-hydra doctor``: what stands in the way of reproducibility here, on one page."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from pathlib import Path

from repro_hydra.cli.errors import NO
from repro_hydra.cli.output import print_json
from repro_hydra.doctor import examine
from repro_hydra.doctor.advice import Advice, Examination
from repro_hydra.record.schema import JSON
from repro_hydra.sweep.table import clean

_MARKS = {"blocks": "NO", "may_change_bits": "??", "harmless": "--"}
_WIDTH = 110


def run(*, json: bool) -> None:
    """The command; exit status 1 where something blocks."""
    found = examine(Path.cwd(), os.environ)
    if json:
        print_json(found)
    else:
        print(page(found))
    if not found.ok:
        raise SystemExit(NO)


def page(found: Examination) -> str:
    """The page for people."""
    lines = [*_facts(found.facts), ""]
    for advice in found.findings:
        lines += _paragraph(advice)
    counts = {severity: sum(a.severity == severity for a in found.findings) for severity in _MARKS}
    lines.append(
        f"{_MARKS['blocks']} {counts['blocks']} block a strict run   "
        f"{_MARKS['may_change_bits']} {counts['may_change_bits']} may change bits   "
        f"{_MARKS['harmless']} {counts['harmless']} to know"
    )
    lines.append("ok: nothing blocks a strict run" if found.ok else "a strict run would not start here")
    return "\n".join(clean(line) for line in lines)


def _facts(facts: Mapping[str, JSON]) -> list[str]:
    gpus = facts["gpus"]
    commit = facts["commit"]
    state = {True: ", with changes", False: "", None: ""}[facts["dirty"]]
    shown = {
        "folder": facts["folder"],
        "python": f"{facts['python']} on {facts['platform']}",
        "GPUs": "could not be asked" if gpus is None else ", ".join(map(str, gpus)) or "none",
        "launchers": ", ".join(facts["launchers"]) or "none",
        "code": "no commit" if commit is None else f"commit {commit[:12]}{state}",
        "data": _count(facts["datasets"], "dataset version"),
        "records": f"{_count(facts['runs'], 'run')}, {facts['record_bytes'] / 1e6:.1f} MB",
    }
    return [f"{name:<10} {value}" for name, value in shown.items()]


def _paragraph(advice: Advice) -> list[str]:
    lines = textwrap.wrap(f"{_MARKS[advice.severity]} [{advice.id}] {advice.message}", _WIDTH,
                          subsequent_indent="   ", break_long_words=False, break_on_hyphens=False)  # fmt: skip
    if advice.remedy:
        lines.append(f"   -> {advice.remedy}")
    return lines


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
