"""What `verify`, `compare`, `validate_results` and `reproduce` answer; the last stands in ``reproduction.json`` too."""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list or dict)
from __future__ import annotations

from typing import Literal

from repro_hydra.record.schema import JSON, SCHEMA, Part, Severity

Area = Literal["config", "code", "environment", "hardware", "data", "determinism", "seed", "metrics", "files"]
Verdict = Literal["BITWISE", "WITHIN_TOLERANCE", "CONSISTENT", "DIVERGED", "IMPOSSIBLE"]
VERDICTS: tuple[Verdict, ...] = ("BITWISE", "WITHIN_TOLERANCE", "CONSISTENT", "DIVERGED", "IMPOSSIBLE")
"""From the best to the worst."""


class VerifyFinding(Part, frozen=True, kw_only=True):
    area: str
    severity: Severity
    message: str


class Verification(Part, frozen=True, kw_only=True):
    """What `verify` found; `ok` where nothing blocks and nothing may change bits."""

    ok: bool
    findings: list[VerifyFinding] = []


class Difference(Part, frozen=True, kw_only=True):
    """One value that two runs do not share."""

    area: Area
    key: str
    a: JSON
    b: JSON
    abs_diff: JSON = None
    """For numbers; NaN and infinities by name."""
    rel_diff: JSON = None
    """``|a - b| / |a|``."""
    rank: int
    """1 explains a differing result most likely."""
    run: str | None = None
    """The directory of the run that `b` is of."""


class ComparedRun(Part, frozen=True, kw_only=True):
    """What no two runs share, side by side: no difference, but good to know."""

    dir: str
    run_id: str
    status: str
    seed: JSON = None
    started_at: str | None = None
    duration_s: float | None = None
    peak_memory_bytes: int | None = None


class CodeDiff(Part, frozen=True, kw_only=True):
    """The code of two runs."""

    a: str
    b: str
    """Directories of runs."""
    diff: str | None
    """As ``git diff`` has it; None where no repository here has both."""


class Comparison(Part, frozen=True, kw_only=True):
    """What `compare` found."""

    same: bool
    differences: list[Difference] = []
    runs: list[ComparedRun] = []
    code_diffs: list[CodeDiff] = []
    """Between the first run and each other whose code differs."""


class Cause(Part, frozen=True, kw_only=True):
    area: str
    detail: str


class PlacedCause(Part, frozen=True, kw_only=True):
    """Why runs differ; `file` and `line` of the user's code where they can be told."""

    area: str
    detail: str
    file: str | None = None
    line: int | None = None


class MetricRow(Part, frozen=True, kw_only=True):
    """One metric of two runs. Numbers that JSON lacks stand by name."""

    name: str
    original: JSON
    reproduced: JSON
    abs_error: JSON = None
    rel_error: JSON = None
    equal_bits: bool
    within: bool


class ResultsValidation(Part, frozen=True, kw_only=True):
    """What `validate_results` found."""

    ok: bool
    """Every metric is there on both sides and within tolerance."""
    rtol: float
    atol: float
    metrics: list[MetricRow] = []
    missing: list[str] = []
    """Expected, and not there."""
    unexpected: list[str] = []
    """There, and not expected."""


class Compared(Part, frozen=True, kw_only=True):
    """How much was compared."""

    metrics: int = 0
    files: int = 0
    tensors: int = 0
    fingerprint_steps: int = 0
    logged_values: int = 0
    """In ``metrics.jsonl``."""
    errors: int = 0
    """1 where a failed run was to fail in the same way."""

    @property
    def total(self) -> int:
        return (
            self.metrics
            + self.files
            + self.tensors
            + self.fingerprint_steps
            + self.logged_values
            + self.errors
        )


class Reproduction(Part, frozen=True, kw_only=True):
    """``reproduction.json``: a run held against the one that it reproduces."""

    schema: str = SCHEMA
    verdict: Verdict
    headline: str = ""
    """The verdict in a sentence: what was compared, and what was found."""
    run: str
    """The original's directory."""
    run_id: str | None = None
    reproduction: str | None = None
    """The new run's directory; None where nothing was run."""
    reproduction_run_id: str | None = None
    compared: Compared = Compared()
    waived: dict[str, str] = {}
    upheld: str | None = None
    """Of the new run."""
    causes: list[Cause] = []
    """Of what differs, the likeliest first."""
    metrics: list[MetricRow] = []
    missing: list[str] = []
    """All that stands in the way, at once."""
    differences: list[Difference] = []
    """Between the two runs' circumstances, whatever the verdict."""
    rtol: float = 0.0
    atol: float = 0.0
    tolerances: dict[str, dict[str, float]] = {}
    """``rtol`` and ``atol`` of the metrics that have their own."""
    jobs: list[Reproduction] = []
    """Of a sweep."""
