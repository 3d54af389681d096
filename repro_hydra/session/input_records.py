"""What a record keeps of the inputs that nobody declared: path, size and digest of each, or its revision."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from repro_hydra.data.digest import FileProblem, digest_encoded, digest_file, encode_file
from repro_hydra.data.errors import shown
from repro_hydra.data.walk import reason_of, row_of
from repro_hydra.inputs.hubs import HubSource, promised_sha256
from repro_hydra.inputs.remote import Answer
from repro_hydra.inputs.stamps import Stamp
from repro_hydra.record.data import InputRecord


class InputRecords:
    """Makes the records of one job's inputs.

    Parameters
    ----------
    cwd : Path
        Where the run was started: what lies below it is named relative to it.
    most_bytes : int
        What is undeclared is read a second time for its digest, while the machine's GPUs wait: no more than this.
    """

    def __init__(self, cwd: Path, most_bytes: int) -> None:
        self._cwd = str(cwd)
        self._most_bytes = most_bytes
        self._digested_bytes = 0

    def name(self, path: str) -> str:
        """A path as its user would write it, and as a finding's id can hold it."""
        below = path.startswith(self._cwd.rstrip(os.sep) + os.sep)
        return shown(os.fsencode(os.path.relpath(path, self._cwd) if below else path))

    def digested(self, path: str, stamps: Mapping[str, Stamp], changed: Sequence[str] = ()) -> InputRecord:
        """The record of one input; a folder's digest is the tree digest of the files in it that were read."""
        size_bytes = sum(stamp.size for stamp in stamps.values())
        record = InputRecord(
            path=self.name(path),
            size_bytes=size_bytes,
            files=len(stamps),
            kind="file" if path in stamps else "directory",
        )
        if changed:
            where = "it" if record.kind == "file" else self.name(changed[0])
            reason = f"{where} was changed or removed while the job ran, so what was read is gone"
            return msgspec.structs.replace(record, reason=reason)
        if self._digested_bytes + size_bytes > self._most_bytes:
            reason = (
                f"more than {self._most_bytes >> 20:,} MiB were read undeclared, and no more are digested"
            )
            return msgspec.structs.replace(record, reason=reason)
        self._digested_bytes += size_bytes
        try:
            if record.kind == "file":
                return msgspec.structs.replace(record, digest=_content(path).hex())
            contents = [
                (os.fsencode(file[len(path) + 1 :]), stamps[file].size, _content(file)) for file in stamps
            ]
        except FileProblem as problem:
            return msgspec.structs.replace(record, reason=str(problem))
        digest = digest_encoded(
            encode_file(name, size, content, 0) for name, size, content in sorted(contents)
        )
        return msgspec.structs.replace(record, digest=digest.hex())

    def of_hub(self, source: HubSource, stamps: Mapping[str, Stamp]) -> InputRecord:
        """Its revision says what it is: nothing is read again for it."""
        return InputRecord(
            path=self.name(source.folder),
            size_bytes=sum(stamp.size for stamp in stamps.values()),
            files=len(stamps),
            kind="hub",
            repository=source.repository,
            revision=source.revision,
            reason=None
            if source.exact
            else f"{source.revision} is no commit: it may mean something else tomorrow",
        )


def _content(file: str) -> bytes:
    """The file's digest; FileProblem where it can't be read any more."""
    raw = os.fsencode(os.path.realpath(file) if os.path.islink(file) else file)  # noqa: PTH114
    try:
        return digest_file(raw, row_of(b"", os.stat(raw)))  # noqa: PTH116
    except OSError as error:
        raise FileProblem(f"{shown(raw)}: {reason_of(error)}") from None


def of_torchs_hub(record: InputRecord, path: str) -> InputRecord:
    """Weights that torch's hub fetched bear the beginning of their SHA-256 in their name: said where it is true."""
    promised = promised_sha256(path)
    if promised is None:
        return record
    with Path(path).open("rb") as stream:
        hasher = hashlib.sha256()
        while chunk := stream.read(4 << 20):
            hasher.update(chunk)
    digest = hasher.hexdigest()
    if not digest.startswith(promised):
        return msgspec.structs.replace(
            record, reason=f"its name promises sha256 {promised}…, it has {digest[:12]}…"
        )
    name = os.path.basename(path)  # noqa: PTH119
    return msgspec.structs.replace(record, kind="hub", repository=f"torch-hub://{name}", revision=promised)


def of_answer(answer: Answer) -> InputRecord:
    return InputRecord(
        path=answer.url,
        size_bytes=answer.size_bytes,
        kind="remote",
        revision=answer.version,
        reason=None if answer.version else "unknown: the server gave neither an ETag nor a version",
    )
