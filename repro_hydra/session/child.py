"""A child of a run (a DDP rank, a nested command): it takes part in its parent's run and claims nothing."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import msgspec

from repro_hydra.config import ReproConf
from repro_hydra.determinism import SettingsWatch
from repro_hydra.imports import LateImports
from repro_hydra.inputs.hook import active
from repro_hydra.record.manifest import write_manifest
from repro_hydra.record.paths import LOCK, RunPaths
from repro_hydra.record.schema import SCHEMA, ErrorInfo, ProcessInfo, RunRecord
from repro_hydra.record.store import RecordError, read, update, write_json
from repro_hydra.record.times import utc_now
from repro_hydra.seed import choose_seeds, seed_libraries
from repro_hydra.seed.drawn import streams_drawn_from
from repro_hydra.seed.streams import streams_of
from repro_hydra.session import process
from repro_hydra.session.capture import AttachedProcess, failed_by
from repro_hydra.session.ending import ending
from repro_hydra.session.findings import waived_operators
from repro_hydra.session.plan import Job
from repro_hydra.session.say import say
from repro_hydra.session.spawned import Inheritance, SpawnedChildren

_attached: list[tuple[int, Path]] = []
"""Process id and run directory: a fork inherits the note, but is no rank."""
_END_S = 20.0
"""How long a preempted rank waits for rank 0; torchrun kills what has not ended 30 s after it was told to."""


def run_of_this_rank() -> Path | None:
    """The run that this process is another rank of; None for rank 0, a nested command, or outside of a run."""
    return next((run_dir for pid, run_dir in reversed(_attached) if pid == os.getpid()), None)


class ChildSession:
    """Seeds and settings as in the parent, and a line in its record.

    Parameters
    ----------
    run_dir : Path or None
        The parent's run; None for a rank that another program (torchrun) started.
    """

    def __init__(self, options: ReproConf, job: Job, run_dir: Path | None) -> None:
        self._options = options
        self._job = job
        self._run_dir = run_dir
        self._stack = ExitStack()
        self._part: tuple[RunPaths, Path, ProcessInfo] | None = None

    def __enter__(self) -> ChildSession:
        rank, _ = process.rank_and_world(os.environ)
        late = LateImports()
        late.install()
        self._stack.callback(late.remove)
        waived = waived_operators(self._options.allow)
        watch = SettingsWatch(self._options.determinism, late.when_imported, waived=waived)
        watch.enter()
        self._stack.callback(watch.stop)
        for finding in watch.entry_findings():
            say(f"[{finding.id}] {finding.message} (in process {os.getpid()}, rank {rank})")
        if self._run_dir is not None:
            self._sign_in(self._run_dir, rank)
            self._join_watch(rank)
            if rank and process.parent_run(os.environ) is None:
                entry = os.getpid(), self._run_dir
                _attached.append(entry)
                self._stack.callback(_attached.remove, entry)
        children = SpawnedChildren(
            Inheritance(
                determinism=self._options.determinism,
                start=str(Path.cwd()),
                seed=self._seed(),
                rank=rank,
            )
        )
        children.install(late.when_imported)
        self._stack.callback(children.remove)
        if self._options.seed.set:
            chosen = choose_seeds(
                self._options.seed, self._job.configured_seed(self._options.seed.key), rank=rank
            )
            apart = 0 if self._options.seed.ranks_alike else rank
            self._stack.enter_context(streams_of(chosen.seed, apart))
            seed_libraries(chosen, late.when_imported)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._join_watch(process.rank_and_world(os.environ)[0])  # rank 0 may not have begun when this one did
        self._stack.close()
        status, info = ending(error)
        if self._part is not None:
            self._sign_out(info)
            if status == "preempted":
                _let_rank_zero_end(self._part[0])

    def _join_watch(self, rank: int) -> None:
        """Have what this process opens told to the run, where the run is watched and this process too."""
        recorder = active()
        if recorder is not None and self._run_dir is not None:
            with contextlib.suppress(OSError):  # the run has ended in this moment
                recorder.join(str(RunPaths(self._run_dir).reads), f"rank {rank}" if rank else "child")

    def _seed(self) -> int | None:
        options = self._options.seed
        return choose_seeds(options, self._job.configured_seed(options.key)).seed if options.set else None

    def _sign_in(self, run_dir: Path, rank: int) -> None:
        paths = RunPaths(run_dir)
        info = ProcessInfo(
            pid=os.getpid(),
            role=f"rank {rank}" if rank else "child",
            started_at=utc_now(),
            host=process.host(),
        )
        name = (
            f"{process.host()}-{os.getpid()}" if rank else f"{os.getpid()}"
        )  # ranks may be on several machines
        try:
            paths.processes.mkdir(exist_ok=True)
            write_json(paths.processes / f"{name}.json", AttachedProcess(schema=SCHEMA, process=info))
        except OSError as error:
            say(f"process {os.getpid()} could not sign itself into {paths.record}: {error.strerror}")
            return
        if rank:
            self._part = paths, paths.processes / f"{name}.json", info

    def _sign_out(self, error: ErrorInfo | None) -> None:
        """A rank's end is its job's, also where rank 0 has ended well before: what this one had to do is not done."""
        assert self._part is not None
        paths, file, info = self._part
        ended = msgspec.structs.replace(info, error=error, ended_at=utc_now())
        try:
            streams = streams_drawn_from()
        except Exception as problem:  # noqa: BLE001 (torch's, after an error of CUDA: the rank's own end is what counts)
            say(f"what {info.role} drew could not be told ({problem})")
            streams = {}
        told = AttachedProcess(schema=SCHEMA, process=ended, streams=streams)
        try:
            paths.processes.mkdir(exist_ok=True)  # put aside, where rank 0 began from the top after this one
            write_json(file, told, durable=True)
            # Rank 0 writes its end and then reads the parts; this writes its part and then reads rank 0's end.
            if error is not None and read(paths.run, RunRecord).status == "completed":
                update(paths.run, failed_by(ended))
                write_manifest(paths)
        except (OSError, RecordError) as problem:
            say(f"the end of {info.role} could not be recorded ({problem})")


def _let_rank_zero_end(paths: RunPaths) -> None:
    """Leave the record to rank 0 in peace: torchrun and srun end it at once when another rank has ended."""
    end = time.monotonic() + _END_S
    while (paths.run_dir / LOCK).exists() and time.monotonic() < end:
        time.sleep(0.02)


def completed_by_earlier_attempt(run_dir: Path, environ: Mapping[str, str]) -> bool:
    """Whether the record of a completed run is not of this attempt at a Slurm job: then rank 0 begins none."""
    run = read(RunPaths(run_dir).run, RunRecord)
    return _slurm_attempt(run) != _this_slurm_attempt(environ)


def _slurm_attempt(run: RunRecord) -> tuple[object, object]:
    return run.slurm.get("job_id"), run.slurm.get("restarts")


def _this_slurm_attempt(environ: Mapping[str, str]) -> tuple[object, object]:
    return environ.get("SLURM_JOB_ID"), environ.get("SLURM_RESTART_COUNT")


def record_of_rank_zero(run_dir: Path, environ: Mapping[str, str], *, limit_s: float = 600.0) -> None:
    """Wait until rank 0 of this very attempt at a Slurm job has begun its record.

    Raises
    ------
    RuntimeError
        Rank 0 was refused, or did not begin within `limit_s` seconds.
    """
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            run = read(RunPaths(run_dir).run, RunRecord)
        except RecordError:
            run = None
        if run is not None and _slurm_attempt(run) == _this_slurm_attempt(environ):
            if run.status == "running":
                return
            if run.status != "created":
                raise RuntimeError(f"rank 0 did not begin ({run.status}); its message says why: {run_dir}")
        time.sleep(0.05)
    raise RuntimeError(f"{run_dir}: rank 0 did not begin its record within {limit_s:.0f} s")
