"""Data of git-annex and DataLad: a file is a link whose target names its content by a key, mostly a hash.

A key is ``BACKEND-sSIZE--NAME`` (https://git-annex.branchable.com/internals/key_format/). So the text of such a link,
which is part of a dataset's digest, says what the content is; that it is there, and of that size, is looked at. The
content itself cannot be written to by accident: git-annex keeps it read-only.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from repro_hydra.data.errors import DataChanged, Problem
from repro_hydra.data.foreign import Foreign
from repro_hydra.data.ignore import compile_ignore
from repro_hydra.data.placeholders import GIT
from repro_hydra.data.walk import walk

_KEY = re.compile(
    rb"(?:^|/)\.git/annex/objects/(?:[^/]+/){1,4}(?P<key>(?P<backend>[A-Z0-9_]+)-(?:s(?P<size>\d+))?[^/]*--(?P<name>[^/]+))$"
)
_HASHES = {
    "SHA256": "sha256", "SHA512": "sha512", "SHA384": "sha384", "SHA224": "sha224", "SHA1": "sha1", "MD5": "md5",
    "SHA3_256": "sha3_256", "SHA3_512": "sha3_512", "SHA3_384": "sha3_384", "SHA3_224": "sha3_224",
}  # fmt: skip
_BLAKE2 = re.compile(r"BLAKE2(?P<kind>[BS])(?P<bits>160|224|256|384|512)")
_CHUNK_BYTES = 4 << 20


class Key(NamedTuple):
    """What a link of git-annex says of its content."""

    text: str
    size_bytes: int | None
    algorithm: str
    hash: str


def key_of(target: bytes) -> Key | None:
    """The key in a link's target, where it is made of the content's hash; WORM and URL keys say nothing of it."""
    match = _KEY.search(target)
    if match is None:
        return None
    backend = match["backend"].decode().removesuffix("E")
    algorithm = backend if _BLAKE2.fullmatch(backend) else _HASHES.get(backend)
    if algorithm is None:
        return None
    digest = (
        match["name"].split(b".")[0].decode("ascii", "replace")
    )  # the E backends keep the file's extension
    return Key(match["key"].decode("utf-8", "backslashreplace"), int(match["size"] or -1), algorithm, digest)


def find_file(path: Path, *, full: bool = False) -> Foreign | None:
    """The key of the one file at `path`, its content checked; None for what is no link of git-annex.

    Raises
    ------
    DataChanged
        The content is not here, or not what the key says.
    """
    try:
        target = os.fsencode(path.readlink())
    except OSError:
        return None
    key = key_of(target)
    if key is None:
        return None
    problem = _problem(path, key, full)
    if problem is not None:
        raise DataChanged(f"{path}: {problem}")
    return Foreign(system="git-annex", version=key.text, file=None, size_bytes=path.stat().st_size, files=1)


def check_folder(path: Path, *, full: bool = False) -> tuple[int, int]:
    """How many links of git-annex lie below `path`, and the size of their contents, each of which is there.

    Raises
    ------
    DataChanged
        Contents that are not here, or not what their keys say: all of them, in `problems`.
    """
    count = size_bytes = 0
    root = os.fsencode(os.path.realpath(path))
    problems = []
    for name, mode, *_ in walk(root, compile_ignore([GIT]))[0]:
        if mode & 0o170000 != 0o120000:
            continue
        place = Path(os.fsdecode(root + b"/" + name))
        key = key_of(os.fsencode(place.readlink()))
        if key is None:
            continue
        problem = _problem(place, key, full)
        if problem is not None:
            problems.append(Problem(name, problem))
        else:
            count += 1
            size_bytes += place.stat().st_size
    if problems:
        raise DataChanged(
            f"{path}: {len(problems)} files of git-annex are not as their keys say", sorted(problems)
        )
    return count, size_bytes


def _hasher(algorithm: str) -> hashlib._Hash | hashlib.blake2b | hashlib.blake2s:
    blake2 = _BLAKE2.fullmatch(algorithm)
    if blake2 is None:
        return hashlib.new(algorithm, usedforsecurity=False)
    make = hashlib.blake2b if blake2["kind"] == "B" else hashlib.blake2s
    return make(digest_size=int(blake2["bits"]) // 8)


def _problem(place: Path, key: Key, full: bool) -> str | None:
    try:
        size = place.stat().st_size
    except OSError:
        return "its content is not here. Run: git annex get"
    if key.size_bytes not in (None, -1, size):
        return f"expected {key.size_bytes} bytes, as its key says, found {size}. Run: git annex fsck"
    if full:
        digest = _hasher(key.algorithm)
        with place.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
        if digest.hexdigest() != key.hash:
            found = digest.hexdigest()
            return f"expected {key.algorithm} {key.hash}, as its key says, found {found}. Run: git annex fsck"
    return None
