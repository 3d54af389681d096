"""The one error of this package."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint that cannot be written, read or put back; the message says where, what was expected and found."""


class OtherVersion(CheckpointError):
    """A whole checkpoint, of a format that this version of the package does not read."""
