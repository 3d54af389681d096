"""What a run records of its datasets, and whether they are still the same when it ends."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from repro_hydra.data.cache import StatCache
from repro_hydra.data.describe import describe_dataset
from repro_hydra.data.errors import DataChanged, DataError, DataMisuse
from repro_hydra.data.project import dataset_path
from repro_hydra.data.read import Progress
from repro_hydra.data.registry import Registry
from repro_hydra.data.scan import Options
from repro_hydra.data.versions import data_add
from repro_hydra.record.data import (
    DataCoverage,
    DataRecord,
    DatasetRecord,
    DataVersion,
)
from repro_hydra.record.schema import Finding

WATCHED = "the declared datasets: when the run starts and when it ends"
NOT_WATCHED = "files that the job reads without declaring them"


def capture_data(
    datasets: Mapping[str, str],
    *,
    base: Path,
    project: Path,
    root: str | None = None,
    ignore: Sequence[str] = (),
    verify: bool = True,
    paranoid: bool = False,
    cache: StatCache | None = None,
    progress: Progress | None = None,
) -> tuple[DataRecord, list[Finding]]:
    """The declared datasets as ``data.json`` holds them, and what stands against starting with them.

    Never raises for what it finds: a dataset that can't be read is a finding and has no entry.

    Parameters
    ----------
    datasets : mapping
        Name to path, as in `data.datasets`.
    base : Path
        What relative paths are relative to: where the run was started.
    project : Path
        The folder of the registry (`find_project`).
    verify : bool
        Hold a dataset that the registry knows by name against its versions.
    """
    registry = Registry(project)
    findings: list[Finding] = []
    try:
        versions = registry.read()
    except DataError as error:
        versions = []
        findings.append(
            Finding(id="data-registry", severity="blocks", message=str(error), file=str(registry.file))
        )
    records: list[DatasetRecord] = []
    for name, path in datasets.items():
        place = dataset_path(path, base, root)
        known = sorted((v for v in versions if v.name == name), key=lambda v: v.updated_at)
        # A version's own options decide what is part of it, unless the run has some of its own.
        options = Options(
            tuple(ignore or (known[-1].ignore if known else ())), known[-1].executable if known else True
        )
        try:
            record = describe_dataset(
                name,
                place,
                ignore=options.ignore,
                executable=options.executable,
                shown_path=path,
                versions=versions,
                cache=cache,
                paranoid=paranoid,
                progress=progress,
                take_over=not known,
            )
        except DataError as error:
            kinds = {DataMisuse: "data-missing", DataChanged: "data-changed"}
            kind = kinds.get(type(error), "data-unreadable")
            findings.append(Finding(id=f"{kind}:{name}", severity="blocks", message=str(error), file=path))
            continue
        records.append(record)
        findings += _held_against_registry(record, known, verify)
        findings += _uncovered(record)
    coverage = DataCoverage(watched=[WATCHED] if records else [], not_watched=[NOT_WATCHED])
    return DataRecord(datasets=records, coverage=coverage), findings


def register_data(
    record: DataRecord,
    *,
    base: Path,
    project: Path,
    root: str | None = None,
    cache: StatCache | None = None,
) -> DataRecord:
    """Write the datasets of `record` that the registry does not know into it (``data.auto_version``).

    Raises
    ------
    DataError
        The registry can't be written, or holds none of what it is given; those before it are registered.
    """
    datasets = []
    for dataset in record.datasets:
        if not dataset.registered:
            data_add(
                dataset_path(dataset.path, base, root),
                dataset.name,
                "registered by a run (data.auto_version)",
                ignore=dataset.ignore,
                executable=dataset.executable,
                project=project,
                cache=cache,
            )
        datasets.append(msgspec.structs.replace(dataset, registered=True))
    return msgspec.structs.replace(record, datasets=datasets)


def add_dataset(
    record: DataRecord,
    path: str | Path,
    name: str | None = None,
    *,
    base: Path,
    project: Path,
    cache: StatCache | None = None,
) -> tuple[DataRecord, Path]:
    """`record` with one more dataset, and where that lies; a place that is declared already is not read again.

    Raises
    ------
    DataError
        It can't be read; `DataMisuse` where nothing is there.
    """
    place = dataset_path(os.fspath(path), base)
    called = name or place.name
    if any(dataset_path(was.path, base) == place for was in record.datasets):
        return record, place
    taken = {was.name for was in record.datasets}
    if called in taken:
        called = next(f"{called}-{n}" for n in itertools.count(2) if f"{called}-{n}" not in taken)
    versions = Registry(project).read()
    dataset = describe_dataset(
        called,
        place,
        shown_path=os.fspath(path),
        versions=versions,
        cache=cache,
        take_over=not any(version.name == called for version in versions),
    )
    coverage = DataCoverage(watched=[WATCHED], not_watched=record.coverage.not_watched)
    return msgspec.structs.replace(record, datasets=[*record.datasets, dataset], coverage=coverage), place


def changed_meanwhile(
    record: DataRecord,
    *,
    base: Path,
    root: str | None = None,
    cache: StatCache | None = None,
    paranoid: bool = False,
) -> list[Finding]:
    """What became of the datasets since `record` was made: a finding for each that is not the same any more.

    To be asked when the job has ended; with the cache that `capture_data` had it costs a walk.
    """
    findings = []
    for was in record.datasets:
        try:
            now = describe_dataset(
                was.name,
                dataset_path(was.path, base, root),
                ignore=was.ignore,
                executable=was.executable,
                cache=cache,
                paranoid=paranoid,
                take_over=was.system is not None,
            )
        except DataError as error:
            what = str(error)
        else:
            if now.digest == was.digest:
                continue
            expected, found = was.version, now.version
            if expected == found:  # of a system whose version says nothing of the files
                expected, found = was.digest, now.digest
            what = f"{was.path}: expected {expected}, as when the run started, found {found}"
        findings.append(changed_finding(was, what))
    return findings


def changed_finding(was: DatasetRecord, what: str) -> Finding:
    """The dataset is not what the run was told of, or can't be read any more: `what` says which."""
    return Finding(
        id=f"data-changed-meanwhile:{was.name}",
        severity="may_change_bits",
        message=f"{what}. The run may have read either: let it write elsewhere, or run it again",
        file=was.path,
    )


def _held_against_registry(
    record: DatasetRecord, known: Sequence[DataVersion], verify: bool
) -> list[Finding]:
    if not verify or not known or record.registered:
        return []
    newest = known[-1]
    options = "" if record.ignore == newest.ignore else f" (it was registered with ignore={newest.ignore})"
    return [
        Finding(
            id=f"data-changed:{record.name}",
            severity="blocks",
            message=(
                f"{record.path}: expected {record.name}@{newest.version}, found {record.version}, which is not "
                f"registered{options}. Run: repro-hydra data diff {record.name}, then get the data back or run: "
                f"repro-hydra data add {newest.path} --name {record.name}"
            ),
            file=record.path,
        )
    ]


def _uncovered(record: DatasetRecord) -> list[Finding]:
    if not record.exceptions_total:
        return []
    first = record.exceptions[0]
    return [
        Finding(
            id=f"data-not-covered:{record.name}",
            severity="may_change_bits",
            message=(
                f"{record.path}: {record.exceptions_total} of its entries are not covered by its digest, first "
                f"{first.path}: {first.reason}. Declare what they lead to as a dataset of its own, or ignore them"
            ),
            file=record.path,
        )
    ]
