"""What a file holds in another form than it shows: text of two bytes a letter, and what is packed in it.

``model.npz`` is a zip file of compressed ones, ``events.gz`` a text: in their bytes alone nobody finds a name.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

MOST_BYTES = 256 << 20
"""Of all that one file is unpacked to."""
_DEEPEST = 3
"""Archives within archives."""
_CHUNK_BYTES = 1 << 20
_UNKNOWN = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
}
"""What the standard library cannot unpack, by how it begins."""


class NotUnpacked(ValueError):
    """It cannot be looked into; the text says why."""


def forms_of(data: bytes) -> Iterator[bytes]:
    """`data` itself, then what it holds in other forms.

    Raises
    ------
    NotUnpacked
        While it is iterated: something in it cannot be unpacked, or to more than `MOST_BYTES` only.
    """
    yield from _forms_of(data, [MOST_BYTES], 0)


def _forms_of(data: bytes, left: list[int], depth: int) -> Iterator[bytes]:
    yield data
    if b"\0" in data:
        yield data.replace(b"\0", b"")  # UTF-16 and UTF-32, either way round
    for beginning, kind in _UNKNOWN.items():
        if data.startswith(beginning):
            raise NotUnpacked(f"it is compressed by {kind}")
    for inner in _unpacked(data, left):
        if depth == _DEEPEST:
            raise NotUnpacked("archives in archives")
        yield from _forms_of(inner, left, depth + 1)


def _unpacked(data: bytes, left: list[int]) -> Iterator[bytes]:
    if data.startswith(b"PK\x03\x04"):
        yield from _members(data, left)
        return
    unpacker: Any
    if data.startswith(b"\x1f\x8b"):
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    elif data.startswith(b"BZh"):
        unpacker = bz2.BZ2Decompressor()
    elif data.startswith(b"\xfd7zXZ\0"):
        unpacker = lzma.LZMADecompressor()
    else:
        return
    try:
        inner = unpacker.decompress(data, left[0] + 1)
    except (zlib.error, OSError, EOFError, lzma.LZMAError) as error:
        raise NotUnpacked(f"it is damaged ({error})") from None
    _spend(left, len(inner))
    if not unpacker.eof:
        raise NotUnpacked("it is cut off")
    yield inner
    if unpacker.unused_data:  # another one after it, as `cat a.gz b.gz` makes them
        yield from _unpacked(unpacker.unused_data, left)


def _members(data: bytes, left: list[int]) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            yield archive.comment
            for item in archive.infolist():
                parts = [item.filename.encode("utf-8", "replace"), b"\n", item.comment, b"\n"]
                with archive.open(item) as stream:
                    while chunk := stream.read(_CHUNK_BYTES):
                        _spend(left, len(chunk))
                        parts.append(chunk)
                yield b"".join(parts[:4])
                yield b"".join(parts[4:])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, zlib.error, OSError, EOFError) as error:
        raise NotUnpacked(f"a zip file ({error})") from None


def _spend(left: list[int], size_bytes: int) -> None:
    left[0] -= size_bytes
    if left[0] < 0:
        raise NotUnpacked(f"it unpacks to more than {MOST_BYTES >> 20} MiB")
