"""Where each file of a record lies: the only place that knows their names."""

from __future__ import annotations

from pathlib import Path

import msgspec

RECORD_DIR = ".repro"
TRACKING = "tracking"
LOCK = f"{RECORD_DIR}-lock"
"""Who writes in a run directory; gone when its run has ended."""
SWEEP_LOCK = f"{LOCK}-sweep"
"""Who launches the jobs of a sweep directory. Not the same: a sweep's only job may have that directory too."""
CHECKPOINTS = "checkpoints"
ATTEMPTS = "attempts"


class RunPaths(msgspec.Struct, frozen=True):
    """The record of one run, below ``<hydra.runtime.output_dir>/.repro/``."""

    run_dir: Path

    @property
    def record(self) -> Path:
        return self.run_dir / RECORD_DIR

    @property
    def run(self) -> Path:
        return self.record / "run.json"

    @property
    def config(self) -> Path:
        return self.record / "config.json"

    @property
    def code(self) -> Path:
        return self.record / "code.json"

    @property
    def patch(self) -> Path:
        return self.record / "code.patch"

    @property
    def environment(self) -> Path:
        return self.record / "environment.json"

    @property
    def exports(self) -> Path:
        """The environment in the formats of installers, where the run was asked for them."""
        return self.record / "exports"

    @property
    def determinism(self) -> Path:
        return self.record / "determinism.json"

    @property
    def data(self) -> Path:
        return self.record / "data.json"

    @property
    def metrics(self) -> Path:
        return self.record / "metrics.jsonl"

    @property
    def fingerprints(self) -> Path:
        return self.record / "fingerprints.jsonl"

    @property
    def result(self) -> Path:
        return self.record / "result.json"

    @property
    def manifest(self) -> Path:
        return self.record / "manifest.json"

    @property
    def vouch(self) -> Path:
        """Whose key this record was made with."""
        return self.record / "vouch.json"

    @property
    def reproduction(self) -> Path:
        """How this run compared with the one that it reproduces."""
        return self.record / "reproduction.json"

    @property
    def processes(self) -> Path:
        """One file for each child process that attached itself to the run."""
        return self.record / "processes"

    @property
    def reads(self) -> Path:
        """What the job's children open, told line by line; there only while the job is watched."""
        return self.record / "reads"

    @property
    def tracking(self) -> Path:
        """How far each tracker got. It goes on after the run has ended, so no manifest holds it."""
        return self.record / TRACKING

    @property
    def checkpoints(self) -> Path:
        """What an interrupted run goes on from. Each has a digest of its own, so no manifest holds them."""
        return self.record / CHECKPOINTS

    @property
    def attempts(self) -> Path:
        """What the interrupted attempts of this run left, a numbered folder for each."""
        return self.record / ATTEMPTS

    @property
    def earlier(self) -> Path:
        """Records of runs that had this directory before."""
        return self.run_dir / f"{RECORD_DIR}-earlier"


class SweepPaths(msgspec.Struct, frozen=True):
    """The record of a sweep, below ``<sweep dir>/.repro/``; what its jobs share is stored once there."""

    sweep_dir: Path

    @property
    def record(self) -> Path:
        return self.sweep_dir / RECORD_DIR

    @property
    def sweep(self) -> Path:
        return self.record / "sweep.json"

    @property
    def code(self) -> Path:
        """The code of all jobs, also of those that never began."""
        return self.record / "code.json"

    @property
    def patch(self) -> Path:
        return self.record / "code.patch"

    @property
    def environment(self) -> Path:
        """The distributions, which all jobs share."""
        return self.record / "distributions.json"

    @property
    def queue(self) -> Path:
        """The composed configs of the jobs, while the sweep runs; only the sweep's own processes read it."""
        return self.record / "queue"

    @property
    def code_at_start(self) -> Path:
        """The files of a sweep that is not frozen, as they were when it began."""
        return self.queue / "code"

    @property
    def left(self) -> Path:
        """What jobs wrote into the frozen code, where it could not go to the user's tree."""
        return self.record / "left"

    @property
    def tracking(self) -> Path:
        """What the trackers call the sweep."""
        return self.record / TRACKING

    @property
    def earlier(self) -> Path:
        return self.sweep_dir / f"{RECORD_DIR}-earlier"
