"""A child of a run (a DDP rank, a nested command): it takes part in its parent's run and claims nothing."""

from __future__ import annotations

import os
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import TracebackType

from repro_hydra.config import ReproConf
from repro_hydra.determinism import SettingsWatch
from repro_hydra.imports import LateImports
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import SCHEMA, ProcessInfo
from repro_hydra.record.store import write_json
from repro_hydra.record.times import utc_now
from repro_hydra.seed import choose_seeds, set_numpy, set_python, set_torch
from repro_hydra.session import process
from repro_hydra.session.capture import AttachedProcess
from repro_hydra.session.findings import waived_operators
from repro_hydra.session.plan import Job
from repro_hydra.session.say import say


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
        if self._options.seed.set:
            chosen = choose_seeds(
                self._options.seed, self._job.configured_seed(self._options.seed.key), rank=rank
            )
            set_python(chosen)
            late.when_imported("numpy", partial(set_numpy, chosen))
            late.when_imported("torch", partial(set_torch, chosen))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _sign_in(self, run_dir: Path, rank: int) -> None:
        paths = RunPaths(run_dir)
        info = ProcessInfo(
            pid=os.getpid(),
            role=f"rank {rank}" if rank else "child",
            started_at=utc_now(),
            host=process.host(),
        )
        try:
            paths.processes.mkdir(exist_ok=True)
            write_json(paths.processes / f"{os.getpid()}.json", AttachedProcess(schema=SCHEMA, process=info))
        except OSError as error:
            say(f"process {os.getpid()} could not sign itself into {paths.record}: {error.strerror}")
