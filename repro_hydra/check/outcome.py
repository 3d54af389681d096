"""What one run left: records where it is a Hydra program, else the files it changed and what it printed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.check.conditions import Conditions
from repro_hydra.check.places import manifest_of
from repro_hydra.record.manifest import digest_file
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.schema import Manifest, ManifestEntry, RunRecord
from repro_hydra.record.store import RecordError
from repro_hydra.reproduce.original import Original, read_original

PRINTED = "what it printed"
_STDOUT = "stdout.txt"
_STAMP = re.compile(rb"\[?\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?\]?")


@dataclass(frozen=True, slots=True)
class Note:
    """Something that a process of the run told about itself."""

    kind: str
    file: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One run."""

    folder: Path
    status: int
    conditions: Conditions
    originals: Mapping[str, Original] = field(default_factory=dict)
    """By what they are called: a job's directory below the run's, the files of a program, what it printed."""
    notes: Sequence[Note] = ()

    @property
    def signed_in(self) -> bool:
        """Whether the conditions inside the interpreter were put in force in any process."""
        return any(note.kind == "signed in" for note in self.notes)

    def noted(self, kind: str) -> list[Note]:
        return [note for note in self.notes if note.kind == kind]


def read_outcome(
    *,
    folder: Path,
    was: Path,
    tree: Path | None,
    before: Mapping[str, tuple[int, int]],
    status: int,
    noted: Sequence[Mapping[str, Any]],
    conditions: Conditions,
) -> Outcome:
    """Read what lies in `folder`, which was called `was` while the command ran."""
    originals: dict[str, Original] = {}
    for record in sorted((folder / "hydra").rglob(f"{RECORD_DIR}/run.json")):
        run_dir = record.parent.parent
        try:
            originals[run_dir.relative_to(folder / "hydra").as_posix()] = read_original(run_dir)
        except RecordError:
            continue  # a run that was cut off before its record stood: its exit status tells
    # A record without a result says nothing: then what is printed is compared too.
    silent = not any(item.result or item.logged for item in originals.values())
    if tree is not None:
        manifest = manifest_of(tree, before)
        if manifest.files:
            originals["files"] = _stand_in(tree, manifest)
    if silent:
        originals[PRINTED] = _printed(folder, was)
    return Outcome(
        folder=folder,
        status=status,
        conditions=conditions,
        originals=originals,
        notes=[Note(item["kind"], item["file"], item["line"]) for item in noted],
    )


def _printed(folder: Path, was: Path) -> Original:
    """What went to standard output, without the times that logging puts before its lines."""
    path = folder / _STDOUT
    text = _STAMP.sub(b"<time>", path.read_bytes()).replace(str(was).encode(), b"<run>")
    path.write_bytes(text)
    entries = [ManifestEntry(path=_STDOUT, blake3=digest_file(path), size_bytes=len(text))] if text else []
    return _stand_in(folder, Manifest(files=entries))


def _stand_in(folder: Path, manifest: Manifest) -> Original:
    """Files of a run that left no record, in the shape that runs are compared in."""
    run = RunRecord(run_id="0" * 32, mode="record", status="completed", created_at="")
    return Original(dir=folder, run=run, manifest=manifest)


def result_of(outcome: Outcome) -> dict[str, Any]:
    """Every final metric of the run; a sweep's jobs go by their directories."""
    found: dict[str, Any] = {}
    for label, original in outcome.originals.items():
        prefix = "" if label == "." else f"{label}: "
        found |= {f"{prefix}{name}": value for name, value in (original.result or {}).items()}
    return found


def builtins(conditions: Conditions) -> dict[str, Any]:
    return dict(msgspec.to_builtins(conditions))
