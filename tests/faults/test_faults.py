"""The catalogue of faults: strict prevents, refuses or reports each, or `check` finds it; no clean twin is accused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from arena import Arena, outcome_of, record, what_is_missing
from catalogue import GROUPS, OUTCOMES, Case, load, names

SOAKED = frozenset((
    "dict-from-set", "embedding-backward", "gymnasium-actions-unseeded", "hash-seed-set-too-late", "imap-unordered",
    "json-of-set", "leaked-generator-state", "loader-restarts-epoch", "locale-parsing", "numpy-randomstate-unseeded",
    "os-urandom", "seed-from-pid", "seed-null", "sorted-by-id", "system-random", "threads-append",
    "threads-set-in-task", "torch-seed-again", "walk-order",
))  # fmt: skip
"""Close relatives of others, tried with ``-m soak``: time is scarce, and forty faults and more are always tried."""
PARAMETERS = [pytest.param(name, marks=[pytest.mark.soak] if name in SOAKED else []) for name in names()]


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> tuple[Case, Case]:
    fault, clean = load(request.param)
    missing = what_is_missing(fault.needs)
    if missing:
        pytest.skip(f"{missing}: counts for nothing here")
    return fault, clean


@pytest.mark.parametrize("pair", PARAMETERS, indirect=True)
def test_fault(pair: tuple[Case, Case], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """It does not pass in silence."""
    fault, _ = pair
    if fault.pending:
        request.applymarker(pytest.mark.xfail(reason=f"not caught yet: {fault.pending}", strict=False))
    arena = Arena(tmp_path, fault, "fault")
    {"prevented": prevented, "refused": refused, "reported": reported, "check": found_by_check}[
        fault.outcome
    ](arena)


@pytest.mark.parametrize("pair", PARAMETERS, indirect=True)
def test_twin(pair: tuple[Case, Case], tmp_path: Path) -> None:
    """The same done well raises no alarm."""
    fault, clean = pair
    arena = Arena(tmp_path, clean, "clean")
    if fault.outcome == "check":
        code, document, said = arena.check(clean.mode, "--runs", "2")
        assert code == 0, (document, said)
        assert document["reproducible"] is True
        return
    done = arena.run("strict")
    assert done.returncode == 0, done.stderr
    if clean.again == "run":
        arena.change()
        again = arena.run("strict")
        assert again.returncode == 0, again.stderr
    assert arena.findings() == []
    assert {record(run)["upheld"] for run in arena.runs()} == {"yes"}


def prevented(arena: Arena) -> None:
    """Two runs are equal to the bit, although everything that made them differ was there."""
    case = arena.case
    first = arena.run("strict")
    assert first.returncode == 0, first.stderr
    run = arena.runs()[-1]
    if case.finding:
        ids = [finding["id"] for finding in record(run)["findings"]]
        assert any(name.startswith(case.finding) for name in ids), ids
    if case.again == "reproduce":
        arena.change()
        document = arena.reproduce(run)
        assert document["verdict"] == "BITWISE", document
        return
    arena.change()
    again = arena.run("strict", case.again_arguments or None, case.again_environment or None)
    assert again.returncode == 0, again.stderr
    assert len(arena.runs()) > 1
    assert outcome_of(arena.runs()[-1]) == outcome_of(run)
    assert {record(one)["upheld"] for one in arena.runs()} == {"yes"}


def refused(arena: Arena) -> None:
    """It does not start, and the message names the cause and how to go on."""
    if arena.case.again == "run":
        first = arena.run("strict")
        assert first.returncode == 0, first.stderr
        arena.change()
    before = len(arena.runs())
    done = arena.run("strict")
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert f"[{arena.case.finding}" in said
    assert "Traceback" not in said
    assert len(arena.runs()) == before


def reported(arena: Arena) -> None:
    """The result is kept, the cause is named with its line, and the promise is not upheld."""
    case = arena.case
    done = arena.run("strict")
    assert done.returncode == 0, done.stderr
    found = arena.findings()
    assert found, done.stderr
    assert all(finding["id"].startswith(case.finding) for finding in found), found
    lines = {(finding["file"], finding["line"]) for finding in found if finding["file"] == "train.py"}
    assert lines == {("train.py", line) for line in case.marked()}
    assert {record(run)["status"] for run in arena.runs()} == {"completed"}
    if not case.finding.startswith("seed-ignored"):  # which is the sweep's, and of none of its runs
        assert {record(run)["upheld"] for run in arena.runs()} == {"no"}
    assert case.finding in done.stderr


def found_by_check(arena: Arena) -> None:
    """One run cannot tell it; several can, and the cause is named with its line."""
    case = arena.case
    code, document, said = arena.check(case.mode, "--runs", "2")
    assert code == 1, (document, said)
    named = [
        cause for cause in document["causes"] if cause["area"] == case.area and case.cause in cause["detail"]
    ]
    assert named, document["causes"]
    wanted = {("train.py", line) for line in case.marked()}
    assert wanted <= {(cause["file"], cause["line"]) for cause in named}, named


def test_the_catalogue_is_whole() -> None:
    """Forty faults at least, without those that wait for something or need a device; every kind of outcome."""
    cases = [load(name)[0] for name in names()]
    caught = [case for case in cases if not case.pending and case.needs != "gpu" and case.name not in SOAKED]
    assert {case.name for case in cases} >= SOAKED
    assert len(caught) >= 40
    assert {case.outcome for case in cases} == set(OUTCOMES)
    assert {case.group for case in cases} == set(GROUPS)
    assert max(Counter(case.title for case in cases).values()) == 1
    for case in cases:
        assert case.script("fault") != case.script("clean") or case.again or case.untracked or case.repository
