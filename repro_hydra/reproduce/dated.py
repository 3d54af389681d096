"""Formats that hold the time at which a file was made, and names drawn for it alone: what of a file stays without.

A figure that matplotlib saves says when (PDF, SVG, PostScript), and the ids in an SVG are hashed with a random salt
where ``svg.hashsalt`` gives none; gzip and zip keep the time of what they hold. None of it is a result.
"""

from __future__ import annotations

import re
import zipfile
from io import BytesIO

SUFFIXES = (".pdf", ".svg", ".ps", ".eps", ".gz", ".zip")
_PDF = re.compile(
    rb"/(?:CreationDate|ModDate)\s*\((?:\\.|[^)\\])*\)|/ID\s*\[\s*<[0-9A-Fa-f]*>\s*<[0-9A-Fa-f]*>\s*\]",
    re.DOTALL,
)
_POSTSCRIPT = re.compile(rb"^%%CreationDate:[^\r\n]*", re.MULTILINE)
_SVG_DATE = re.compile(rb"<dc:date>[^<]*</dc:date>")
_SVG_ID = re.compile(rb"(?<=\bid=[\"'])[^\"']+(?=[\"'])")
_SVG_NAME = re.compile(rb"(?<=\bid=[\"'])[^\"']+(?=[\"'])|(?<=#)[\w.:-]+")
_GZIP = b"\x1f\x8b"
_GZIP_TIME = slice(4, 8)
"""RFC 1952, section 2.3: MTIME."""


def without_time(name: str, content: bytes) -> bytes:
    """What of a file does not say when it was made; `content` itself for a format that says nothing of that."""
    if name.endswith(".pdf"):
        return _PDF.sub(b"", content)
    if name.endswith((".ps", ".eps")):
        return _POSTSCRIPT.sub(b"", content)
    if name.endswith(".svg"):
        return _numbered(_SVG_DATE.sub(b"", content))
    if name.endswith(".gz") and content.startswith(_GZIP):
        return content[: _GZIP_TIME.start] + content[_GZIP_TIME.stop :]
    if name.endswith(".zip"):
        return _members(content)
    return content


def _numbered(svg: bytes) -> bytes:
    """With a number in the place of each id, in their order."""
    numbers: dict[bytes, bytes] = {}
    for found in _SVG_ID.findall(svg):
        numbers.setdefault(found, b"%d" % len(numbers))
    return _SVG_NAME.sub(lambda match: numbers.get(match[0], match[0]), svg)


def _members(content: bytes) -> bytes:
    """The names in an archive, with checksums and sizes of what they name; `content` where it is none."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as archive:
            members = [(item.filename, item.CRC, item.file_size) for item in archive.infolist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return content
    return repr(members).encode("utf-8", "surrogatepass")
