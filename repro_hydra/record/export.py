"""``export.json``: what an export holds, and what it does not, as typed values."""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list or dict)
from __future__ import annotations

from repro_hydra.record.schema import SCHEMA, Part

EXPORT_NAME = "export.json"


class ExportedCode(Part, frozen=True, kw_only=True):
    """The code of some of the runs: one commit with all its files, and without any history."""

    tree: str
    """Git's name for the content; the same as in ``code.json``."""
    bundle: str
    """Relative to the export."""
    snapshot: str
    """The commit in the bundle."""
    blake3: str


class ExportedRun(Part, frozen=True, kw_only=True):
    dir: str
    """Relative to the export."""
    run_id: str
    original_manifest: str | None = None
    """BLAKE3 of its ``manifest.json`` before the export: what was printed at its end and given to trackers."""
    rewritten: list[str] = []
    """Files that are not as the run left them; the manifest in the export is of what is there."""
    left_out: dict[str, str] = {}
    """Files that the run left and the export does not hold: path to reason."""


class ExportRecord(Part, frozen=True, kw_only=True):
    """``export.json``."""

    schema: str = SCHEMA
    made_at: str
    repro_hydra: str
    anonymous: bool
    kind: str
    """``run`` or ``sweep``."""
    root: str
    """The run's or sweep's directory, relative to the export."""
    runs: list[ExportedRun] = []
    code: list[ExportedCode] = []
    removed: list[str] = []
    """What ``--anonymous`` took out, in words that give none of it away."""
    still_there: list[str] = []
    """Where the code, which is not changed, may name somebody."""
