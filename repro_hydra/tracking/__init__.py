"""Mirrors of the record where researchers already look. The record in the run directory is the truth.

A process beside the job reads the record as it grows and sends it on, so that a tracker can neither slow nor stop
the job. How far each tracker got stands in ``.repro/tracking/``; what is missing is sent later by
``repro-hydra track sync``.
"""

from repro_hydra.tracking.delivery import deliver as deliver
from repro_hydra.tracking.find import TrackerMissing as TrackerMissing
from repro_hydra.tracking.find import find_tracker as find_tracker
from repro_hydra.tracking.protocol import Opened as Opened
from repro_hydra.tracking.protocol import Point as Point
from repro_hydra.tracking.protocol import Tracker as Tracker
from repro_hydra.tracking.view import RunView as RunView
