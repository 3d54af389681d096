"""The options and the place that a reproduction takes over from its original."""

from __future__ import annotations

from omegaconf import DictConfig

from repro_hydra.composed import set_value
from repro_hydra.config import FingerprintConf, FingerprintLevel, ReproConf
from repro_hydra.session.findings import Misuse
from repro_hydra.session.plan import options_from
from repro_hydra.session.recorded import Recorded
from repro_hydra.session.say import say


def recorded_options(recorded: Recorded, composed: ReproConf) -> ReproConf:
    """The options that the original had; those composed where the record's are not this version's."""
    return watched_as_told(recorded, _taken_over(recorded, composed))


def watched_as_told(recorded: Recorded, options: ReproConf) -> ReproConf:
    """`options`, with fingerprints of all where the reproduction is made to find a difference."""
    if recorded.watch is not None:
        options.fingerprint = FingerprintConf(level=FingerprintLevel.full)
    return options


def _taken_over(recorded: Recorded, composed: ReproConf) -> ReproConf:
    if not isinstance(recorded.options, dict):
        return composed
    try:
        options = options_from(recorded.options)
        options.tracking = {}  # the trackers hold the original
        options.data.auto_version = False
        return options
    except Misuse as error:
        say(f"the recorded options cannot be taken over, so those of the config are in force: {error}")
        return composed


def take_place(config: DictConfig, recorded: Recorded) -> None:
    """The reproduction's own directory, and the number that the original had in its sweep."""
    set_value(config, "hydra.run.dir", recorded.run_dir)
    if recorded.job_num is not None:
        set_value(config, "hydra.job.num", recorded.job_num)
        set_value(config, "hydra.job.id", recorded.job_id or str(recorded.job_num))
