"""The files that two runs wrote, by the digests in their manifests; those that differ are looked into."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from repro_hydra.record.manifest import digest_bytes, digest_file
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.schema import Manifest
from repro_hydra.reproduce import archived, dated
from repro_hydra.reproduce.inside import LeadsOut, path_inside, read_inside
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.results import Tolerance
from repro_hydra.reproduce.weights import SUFFIXES, CannotLoad, compare_weights

LEFT_OUT = (
    f"{RECORD_DIR}/*", f"{RECORD_DIR}-earlier/*", ".hydra/*", "*.log", "*.log.jsonl", "*events.out.tfevents.*",
    "wandb/*", "mlruns/*", "*.pyc",
)  # fmt: skip
"""The record itself, and files that hold the time by their nature."""
_TEXT_BYTES = 16 << 20
_NUMBER = re.compile(
    rb"(?<![\w.])[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|nan|inf)(?![\w.])", re.I
)


@dataclass(slots=True)
class OutputsCompared:
    """What came of comparing the files that two runs wrote."""

    files: int = 0
    tensors: int = 0
    equal: bool = True
    within: bool = True
    details: list[str] = field(default_factory=list)
    """Each file that differs, and how."""


def compare_outputs(
    original: Original, reproduced: Original, ignore: Sequence[str], tolerance: Tolerance, *, unfinished: bool
) -> OutputsCompared:
    """Hold the files of both runs against each other.

    Parameters
    ----------
    ignore : sequence of str
        Patterns, as in a shell, of what to leave out besides `LEFT_OUT`.
    unfinished : bool
        The original was cut off: a file that only the reproduction has is no difference.
    """
    outcome = OutputsCompared()
    before, after = own_files(original.manifest, ignore), own_files(reproduced.manifest, ignore)
    for name in sorted({*before, *after}):
        if original.manifest is not None and name in original.manifest.left_out:
            continue  # an export without it: there is nothing to hold it against
        if name not in before:
            if not unfinished and original.manifest is not None:
                _differs(outcome, f"{name}: only the reproduction wrote it")
            continue
        outcome.files += 1
        if name not in after:
            _differs(outcome, f"{name}: only the original wrote it")
        elif before[name] != after[name]:
            _look_into(outcome, original, reproduced, name, before[name], tolerance)
        elif name.endswith(SUFFIXES):
            outcome.tensors += _count_tensors(reproduced.dir, name)
    return outcome


def own_files(manifest: Manifest | None, ignore: Sequence[str] = ()) -> dict[str, str]:
    """What the job itself wrote, name to digest."""
    patterns = (*LEFT_OUT, *ignore)
    entries = [] if manifest is None else manifest.files
    return {
        entry.path: entry.blake3
        for entry in entries
        if not any(fnmatchcase(entry.path, pattern) for pattern in patterns)
    }


def _look_into(
    outcome: OutputsCompared,
    original: Original,
    reproduced: Original,
    name: str,
    digest: str,
    tolerance: Tolerance,
) -> None:
    try:
        before, after = path_inside(original.dir, name), path_inside(reproduced.dir, name)
        if not before.is_file() or digest_file(before) != digest:
            _differs(outcome, f"{name}: differs; the original's is gone or changed since its manifest")
            return
        if name.endswith(dated.SUFFIXES) and _same_but_for_time(original.dir, reproduced.dir, name):
            outcome.files -= 1  # its bits are not equal, and say nothing
        elif name.endswith(SUFFIXES):
            storages = _same_in_another_directory(original.dir, before, reproduced.dir, after)
            if storages is not None:
                outcome.tensors += storages
            else:
                _compare_weights(outcome, name, before, after, tolerance)
        else:
            _compare_text(outcome, original.dir, reproduced.dir, name, tolerance)
    except (LeadsOut, OSError) as error:
        _differs(outcome, f"{name}: {error}")


def _same_in_another_directory(original: Path, before: Path, reproduced: Path, after: Path) -> int | None:
    """Of a checkpoint that says where it lies: how many storages of tensors, all equal, it holds."""
    if not before.name.endswith(archived.SUFFIXES):
        return None
    return archived.same_but_for_directory((before, str(original)), (after, str(reproduced)))


def _compare_weights(
    outcome: OutputsCompared, name: str, before: Path, after: Path, tolerance: Tolerance
) -> None:
    try:
        compared = compare_weights(before, after, tolerance)
    except CannotLoad as error:
        _differs(outcome, f"{name}: differs, and cannot be looked into: {error}")
        return
    outcome.tensors += compared.tensors
    if not compared.equal:
        outcome.equal = False
        outcome.within = outcome.within and compared.within
        outcome.details.append(f"{name}: {compared.detail}")


def _compare_text(
    outcome: OutputsCompared, before: Path, after: Path, name: str, tolerance: Tolerance
) -> None:
    """Texts (JSON, CSV, …) may differ in their numbers alone: those are held against the tolerance."""
    one, other = read_inside(before, name), read_inside(after, name)
    if one is None or other is None or len(one) > _TEXT_BYTES or b"\0" in one or b"\0" in other:
        _differs(outcome, f"{name}: its content differs")
        return
    # Where each run says its own directory, they differ as they should.
    one, other = one.replace(_told(before), b"<run>"), other.replace(_told(after), b"<run>")
    if digest_bytes(one) == digest_bytes(other):
        return
    numbers, others = _NUMBER.findall(one), _NUMBER.findall(other)
    if _NUMBER.sub(b"#", one) != _NUMBER.sub(b"#", other) or len(numbers) != len(others):
        _differs(outcome, f"{name}: its text differs")
        return
    outcome.equal = False
    outcome.within = outcome.within and all(
        tolerance.allows(float(a), float(b)) for a, b in zip(numbers, others, strict=True)
    )
    outcome.details.append(f"{name}: its numbers differ")


def _same_but_for_time(before: Path, after: Path, name: str) -> bool:
    one, other = read_inside(before, name), read_inside(after, name)
    if one is None or other is None:
        return False
    return dated.without_time(name, one) == dated.without_time(name, other)


def _told(folder: Path) -> bytes:
    return str(folder).encode("utf-8", "surrogateescape")


def _differs(outcome: OutputsCompared, detail: str) -> None:
    outcome.equal = outcome.within = False
    outcome.details.append(detail)


def _count_tensors(folder: Path, name: str) -> int:
    """How many tensors equal files hold; by what they say of themselves, without reading the values."""
    if not name.endswith((".npz", ".npy")):
        return 1  # a checkpoint, counted as one: to open it for its number alone would load it whole
    if name.endswith(".npy"):
        return 1
    try:
        with zipfile.ZipFile(path_inside(folder, name)) as archive:
            return len(archive.namelist())
    except (zipfile.BadZipFile, LeadsOut, OSError):
        return 0
