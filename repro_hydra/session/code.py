"""The code of a run, from its look to its record: what is kept in repositories, and what lies beside ``code.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from repro_hydra.code import CodeState, snapshot_code
from repro_hydra.code.bundle import bundle_code
from repro_hydra.code.environment_files import environment_files
from repro_hydra.code.findings import not_bundled
from repro_hydra.config import CodeConf
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.schema import Finding
from repro_hydra.record.store import write_bytes
from repro_hydra.record.vouch import user_key


class KeptCode(msgspec.Struct, frozen=True):
    """What a record has of the code."""

    record: CodeRecord | None = None
    files: Mapping[str, bytes] = msgspec.field(default_factory=dict)
    """What lies beside ``code.json``, by name: the patches and the bundles."""

    def write_files(self, folder: Path) -> None:
        for name, data in self.files.items():
            write_bytes(folder / name, data)


def keep_code(state: CodeState | None, options: CodeConf, findings: list[Finding]) -> KeptCode:
    """Keep the code in its repositories; where that fails the record still has the patch, and `findings` says so."""
    if state is None:
        return KeptCode()
    files: dict[str, bytes] = {}
    record = _keep(state, "code", options, findings, files)
    others = [
        _keep(other, f"code-{number}", options, findings, files)
        for number, other in enumerate(state.others, start=1)
    ]
    if state.top is not None:
        known = environment_files(state.top, [Path.cwd()], user_key(os.environ))
        record = msgspec.structs.replace(record, environment_files=known)
    return KeptCode(msgspec.structs.replace(record, others=others), files)


def _keep(
    state: CodeState, name: str, options: CodeConf, findings: list[Finding], files: dict[str, bytes]
) -> CodeRecord:
    record = state.record
    try:
        record = snapshot_code(state)
    except (OSError, RuntimeError) as error:
        findings.append(Finding(id="snapshot-failed", severity="may_change_bits", message=str(error)))
    if record.patch is not None:
        path = f"{name}.patch"
        files[path] = state.patch
        record = msgspec.structs.replace(record, patch=msgspec.structs.replace(record.patch, path=path))
    if state.top is None:
        return record
    bundle = bundle_code(state.top, record, options.max_bundle_bytes, os.environ)
    if isinstance(bundle, str):
        findings.append(not_bundled(str(state.top), bundle))
    elif bundle is not None:
        path = f"{name}.bundle"
        files[path] = bundle.data
        record = msgspec.structs.replace(record, bundle=msgspec.structs.replace(bundle.file, path=path))
    return record


def lying_in(record: CodeRecord, folder: str) -> CodeRecord:
    """`record` of a job whose sweep has the files, once for all, in `folder` (relative to ``code.json``)."""

    def moved(one: CodeRecord) -> CodeRecord:
        patch, bundle = one.patch, one.bundle
        return msgspec.structs.replace(
            one,
            patch=patch and msgspec.structs.replace(patch, path=f"{folder}/{patch.path}"),
            bundle=bundle and msgspec.structs.replace(bundle, path=f"{folder}/{bundle.path}"),
            others=[moved(other) for other in one.others],
        )

    return moved(record)
