"""The list of what a version holds: what ``data diff`` compares, and what names the files that changed.

A text file, one line an entry, sorted by path and called by the dataset's digest: two people who add the same
content write the same bytes, so manifests never conflict, and git stores only what differs between two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from repro_hydra.data.digest import Entry, digest_tree
from repro_hydra.data.errors import DataError, shown
from repro_hydra.record.data import DatasetKind, ManifestHeader, ManifestLine
from repro_hydra.record.schema import SCHEMA_MAJOR

_HEXADECIMAL = set("0123456789abcdef")


def is_digest(text: str) -> bool:
    """Whether `text` is the lower-case hexadecimal form of 32 bytes."""
    return len(text) == 64 and set(text) <= _HEXADECIMAL


def encode_manifest(digest: str, kind: DatasetKind, entries: Iterable[Entry]) -> bytes:
    """The manifest's text; `entries` sorted by path."""
    lines = [msgspec.json.encode(_line_of(entry)) for entry in entries]
    header = ManifestHeader(digest=digest, kind=kind, entries=len(lines))
    return b"\n".join([msgspec.json.encode(header), *lines, b""])


def decode_manifest(path: Path, data: bytes, digest: str) -> list[Entry]:
    """What a manifest holds, checked against the digest that it is called by.

    Raises
    ------
    DataError
        Truncated, edited, merged by hand, of a newer version, or of another dataset.
    """
    lines = data.split(b"\n")
    try:
        header = msgspec.json.decode(lines[0], type=ManifestHeader)
    except msgspec.DecodeError as error:
        raise _damaged(path, f"its first line is no manifest's ({error})") from None
    if header.schema.split(".")[0] != str(SCHEMA_MAJOR):
        raise DataError(
            f"{path}: schema: this version of repro-hydra reads {SCHEMA_MAJOR}.x, found {header.schema!r}. "
            "Run: pip install --upgrade repro-hydra"
        )
    entries = list(_entries_of(path, lines[1:]))
    found = _digest_of(header.kind, entries)
    if found != digest:
        raise _damaged(path, f"what it lists has the digest {found or 'of no dataset'}")
    return entries


def _digest_of(kind: DatasetKind, entries: list[Entry]) -> str | None:
    if kind == "directory":
        return digest_tree(entries).hex()
    return entries[0].content.hex() if len(entries) == 1 else None


def _line_of(entry: Entry) -> ManifestLine:
    path, path_hex = _text_and_hex(entry.path)
    target, target_hex = _text_and_hex(entry.content) if entry.kind == "symlink" else (None, None)
    is_file = entry.kind == "file"
    return ManifestLine(
        path=path,
        path_hex=path_hex,
        kind=entry.kind,
        size_bytes=entry.size_bytes if is_file else None,
        blake3=entry.content.hex() if is_file else None,
        executable=entry.executable,
        target=target,
        target_hex=target_hex,
    )


def _text_and_hex(raw: bytes) -> tuple[str, str | None]:
    try:
        return raw.decode("utf-8"), None
    except UnicodeDecodeError:
        return shown(raw), raw.hex()


def _entries_of(path: Path, lines: list[bytes]) -> Iterator[Entry]:
    decoder = msgspec.json.Decoder(ManifestLine)
    for number, text in enumerate(lines, start=2):
        if not text.strip():
            continue
        try:
            yield _entry_of(decoder.decode(text))
        except (msgspec.DecodeError, ValueError) as error:
            raise _damaged(path, f"line {number}: {error}") from None


def _entry_of(line: ManifestLine) -> Entry:
    raw = bytes.fromhex(line.path_hex) if line.path_hex is not None else line.path.encode()
    if line.kind == "file":
        if line.blake3 is None or not is_digest(line.blake3) or line.size_bytes is None:
            raise ValueError("a file without size_bytes and blake3")
        if not 0 <= line.size_bytes < 1 << 63:
            raise ValueError(f"size_bytes: {line.size_bytes}")
        return Entry(raw, "file", line.size_bytes, bytes.fromhex(line.blake3), line.executable)
    if line.kind == "symlink":
        if line.target is None:
            raise ValueError("a symlink without target")
        target = bytes.fromhex(line.target_hex) if line.target_hex is not None else line.target.encode()
        return Entry(raw, "symlink", 0, target)
    return Entry(raw, line.kind, 0, b"")


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"{path}: not the manifest it is called by: {what}. "
        "Take it from git again, or run `repro-hydra data add` where the data lies"
    )
