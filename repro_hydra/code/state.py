"""What is known of a run's code."""

from __future__ import annotations

from pathlib import Path

import msgspec

from repro_hydra.record.code import CodeRecord
from repro_hydra.record.schema import Finding


class CodeState(msgspec.Struct, frozen=True):
    """The code as it was when it was looked at; plain data, so it can wait, and travel."""

    record: CodeRecord
    patch: bytes = b""
    findings: tuple[Finding, ...] = ()
    top: Path | None = None
    base_tree: str | None = None
    """The tree of `record.commit`, or the empty one."""
    pack: bytes = b""
    """The objects that the repository lacks for `record.tree`."""
    epoch_s: int = 0
    """When `record.commit` was made."""
    others: tuple[CodeState, ...] = ()
    """The other repositories that code may be imported from."""
