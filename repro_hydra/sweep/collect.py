"""Reading the runs that an aggregate is made of, with no more of each than it needs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

import msgspec

from repro_hydra.record.find import read_result, walk
from repro_hydra.record.paths import RECORD_DIR, RunPaths, SweepPaths
from repro_hydra.record.plain_file import read_plain
from repro_hydra.record.run_values import RUN_FIELDS, RunValues
from repro_hydra.record.schema import JSON, RunRecord, ShownStatus, SweepRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.where import Where, WhereError
from repro_hydra.sweep.configuration import configuration, file_leaves, flatten, identity
from repro_hydra.sweep.facts import Collected, RunFacts, SweepFacts
from repro_hydra.sweep.fields import (
    ConfigFields,
    RunFields,
    code_identity,
    data_identity,
    decode_code,
    decode_config,
    decode_data,
    decode_environment,
    decode_reproduction,
    decoded,
    error_text,
    rank_offset_of,
    read_if_there,
    read_run_fields,
    seed_key_of,
)


def collect(
    dirs: Iterable[Path],
    *,
    where: Where | None = None,
    now: datetime | None = None,
    host: str | None = None,
) -> Collected:
    """Read every run and sweep below `dirs`.

    Parameters
    ----------
    where : Where, optional
        Keep only the runs that it selects; how many it does not is counted.
    now, host : optional
        What tells a run that is still going on from a lost one; this moment and this machine if not given.
    """
    reader = _Reader(where, now or datetime.now(timezone.utc), host or platform.node())
    for located in walk(dirs):
        if located.problem is not None:
            reader.collected.unusable[located.dir] = located.problem
            continue
        try:
            if located.kind == "sweep":
                reader.add_sweep(located.dir)
            else:
                reader.add_run(located.dir)
        except RecordError as error:
            reader.collected.unusable[located.dir] = str(error)
    if where is not None:
        reader.check_names(where)
    reader.leave_out_reproductions()
    return reader.collected


class _Reader:
    """Reads runs one by one, each file of a record at most once."""

    def __init__(self, where: Where | None, now: datetime, host: str) -> None:
        self.collected = Collected()
        self._where = where
        self._now = now
        self._host = host
        self._originals: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        self._codes: dict[bytes, str | None] = {}
        self._keys: dict[bytes, bytes] = {}
        self._reproductions: dict[str, str] = {}
        self._never_seen: set[str] = set() if where is None else set(where.unknown_names([]))

    def _one(self, text: str) -> str:
        """The same text as one object: the jobs of a sweep share most of theirs, and ten thousand copies add up."""
        return self._texts.setdefault(text, text)

    def _some_one(self, text: str | None) -> str | None:
        return None if text is None else self._one(text)

    def _code(self, directory: str) -> str | None:
        # Equal to the byte for all jobs of a sweep: decoded once.
        try:
            data = read_plain(f"{directory}/{RECORD_DIR}/code.json")
        except OSError:
            return None
        if data not in self._codes:
            self._codes[data] = code_identity(decoded(data, decode_code))
        return self._codes[data]

    def add_sweep(self, directory: str) -> None:
        """Read one sweep's plan."""
        record = read(SweepPaths(Path(directory)).sweep, SweepRecord)
        jobs = [
            msgspec.structs.replace(job, overrides=[self._one(text) for text in job.overrides])
            for job in record.jobs
        ]
        self.collected.sweeps.append(SweepFacts(directory, msgspec.structs.replace(record, jobs=jobs)))

    def add_run(self, directory: str) -> None:
        """Read one run, and keep it unless it is a copy or not selected."""
        run = read_run_fields(directory)
        original = self._originals.setdefault(run.run_id, directory)
        if original != directory:
            self.collected.unusable[directory] = f"a copy of the run in {original}"
            return
        self._note_reproduction(directory, run.run_id)
        status: ShownStatus = run.status
        if status in ("created", "running"):
            from repro_hydra.record.status import (
                shown_status,
            )  # brings psutil, which finished runs do not need

            whole = read(RunPaths(Path(directory)).run, RunRecord)
            status = shown_status(whole, host=self._host, now=self._now)
        config = read_if_there(f"{directory}/{RECORD_DIR}/config.json", decode_config)
        result: dict[str, JSON] | None = None
        problem: str | None = None
        if status == "completed":
            try:
                result = read_result(directory)
            except RecordError as error:
                problem = str(error)
        if self._where is not None and not self._is_selected(directory, run, status, config, result):
            self.collected.count_not_selected += 1
            if run.sweep is not None:
                self.collected.not_selected.add((run.sweep.id, run.sweep.job_num))
            return
        environment = read_if_there(f"{directory}/{RECORD_DIR}/environment.json", decode_environment)
        self.collected.runs.append(
            RunFacts(
                dir=directory,
                run_id=run.run_id,
                name=self._some_one(run.name),
                status=status,
                started_at=run.started_at or run.created_at,
                upheld=run.upheld,
                seed=run.seed,
                seed_key=self._one(seed_key_of(config)),
                rank_offset=rank_offset_of(config),
                world_size=run.world_size,
                overrides=[self._one(text) for text in run.overrides],
                sweep_id=self._one(run.sweep.id) if run.sweep else None,
                job_num=run.sweep.job_num if run.sweep else None,
                primary_metric=self._some_one(run.primary_metric),
                error=error_text(run.error),
                configuration=self._configuration(config),
                result=None if result is None else {self._one(name): item for name, item in result.items()},
                problem=problem,
                code=self._code(directory),
                data=self._some_one(
                    data_identity(read_if_there(f"{directory}/{RECORD_DIR}/data.json", decode_data))
                ),
                packages=self._some_one(environment.distributions_digest)
                if environment is not None
                else None,
                python=self._some_one(environment.interpreter.version) if environment is not None else None,
            )
        )

    def _note_reproduction(self, directory: str, run_id: str) -> None:
        path = f"{directory}/{RECORD_DIR}/reproduction.json"
        if os.path.exists(path):  # noqa: PTH110 (10,000 times)
            found = read_if_there(path, decode_reproduction)
            if found is not None and found.run_id is not None:
                self._reproductions[run_id] = found.run_id

    def leave_out_reproductions(self) -> None:
        """A run that reproduces another is no further repeat of it: where both are here, the original counts."""
        again = {
            run.dir: self._originals[original]
            for run in self.collected.runs
            if (original := self._reproductions.get(run.run_id)) in self._originals and original != run.run_id
        }
        if again:
            self.collected.runs = [run for run in self.collected.runs if run.dir not in again]
            for directory, original in again.items():
                self.collected.unusable[directory] = f"a reproduction of the run in {original}"

    def _configuration(self, config: ConfigFields | None) -> bytes | None:
        if config is None:
            return None
        unresolved = bytes(config.unresolved)
        plain = b"${" not in unresolved  # most configs: nothing to follow
        leaves = configuration(
            config.resolved, None if plain else msgspec.json.decode(unresolved), seed_key_of(config)
        )
        key = identity(leaves)
        key = self._keys.setdefault(key, key)  # one object for all runs of a configuration
        self.collected.configurations.setdefault(key, leaves)
        return key

    def _is_selected(
        self,
        directory: str,
        run: RunFields,
        status: ShownStatus,
        config: ConfigFields | None,
        result: dict[str, JSON] | None,
    ) -> bool:
        assert self._where is not None
        fields = {name: getattr(run, name) for name in RUN_FIELDS}
        values = RunValues(
            {**fields, "status": status, "dir": directory},
            flatten(config.resolved) if config is not None else {},
            result or {},
            partial(file_leaves, directory),
        )
        if self._never_seen:
            self._never_seen &= set(self._where.unknown_names([values]))
        return self._where.selects(values)

    def check_names(self, where: Where) -> None:
        """A name that no run has is a mistake, not an empty selection."""
        if self._originals and self._never_seen:
            names = ", ".join(name for name in where.names if name in self._never_seen)
            raise WhereError(f"--where {where.text!r}: none of the {len(self._originals)} runs has {names}")
