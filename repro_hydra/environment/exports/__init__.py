"""An environment in the formats of others: requirements, ``pylock.toml``, conda, Dockerfile."""

from repro_hydra.environment.exports.render import FILE_NAMES as FILE_NAMES
from repro_hydra.environment.exports.render import FORMATS as FORMATS
from repro_hydra.environment.exports.render import render as render
from repro_hydra.environment.exports.subject import CannotExport as CannotExport
from repro_hydra.environment.exports.subject import Export as Export
from repro_hydra.environment.exports.subject import Subject as Subject
