"""What no remote has, as a file beside the record: with it the code can be had where the repository is not.

A snapshot is kept by a ref that no clone brings along, and a commit that was never pushed is nowhere else. The file
is one of ``git bundle``, so git itself reads it again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import blake3
import msgspec

from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.record.code import BundleFile, CodeRecord

_STANDS_ON = re.compile(rb"-([0-9a-f]{40}(?:[0-9a-f]{24})?)(?: |$)")
_LARGE = 10
"""A repository of so many times the limit is not packed only to find that the bundle is too large."""


class Bundle(msgspec.Struct, frozen=True):
    file: BundleFile
    data: bytes


def bundle_code(top: Path, record: CodeRecord, limit: int, environ: Mapping[str, str]) -> Bundle | str | None:
    """The snapshot and all that it stands on, but for what a remote has.

    Parameters
    ----------
    limit : int
        Bytes that a bundle may have.

    Returns
    -------
    Bundle, str or None
        None where a remote has the commit, or where no snapshot was kept; a text says why it could not be made.
    """
    if record.on_remote or record.snapshot_ref is None:
        return None
    git = Git(top, environ)
    try:
        if record.remote is None and _size_bytes(git) > _LARGE * limit:
            return f"the repository has no remote and more than {_LARGE} times code.max_bundle_bytes={limit:,} bytes"
        # The ref may be of an earlier run, which had the same content on another commit.
        tips = [record.snapshot_ref, *([] if record.commit is None else [record.commit])]
        process = git.start("bundle", "create", "-q", "-", *tips, "--not", "--remotes")
        data = git.finish_limited(process, limit)
    except (GitError, GitUnavailableError) as error:
        return f"git cannot bundle it: {error}"
    if data is None:
        return f"it would have more than code.max_bundle_bytes={limit:,} bytes. Push the commit to a remote"
    return Bundle(
        BundleFile(
            blake3=blake3.blake3(data).hexdigest(), size_bytes=len(data), stands_on=prerequisites(data)
        ),
        data,
    )


def prerequisites(data: bytes) -> list[str]:
    """The commits that a bundle stands on (gitformat-bundle(5): lines with a minus, before the first empty one).

    A bundle may be a stranger's: what is no name of a commit is left out, and git then refuses it.
    """
    header = data.partition(b"\n\n")[0].split(b"\n")
    return [match[1].decode() for line in header if (match := _STANDS_ON.match(line))]


def unbundle(data: bytes, git: Git) -> None:
    """Take the objects of a bundle into a repository of ours; no ref is made.

    Raises
    ------
    GitError
        It is damaged, or what it stands on is not here.
    """
    file = git.folder / ".git" / "repro-hydra.bundle"
    file.write_bytes(data)
    for number, commit in enumerate(prerequisites(data)):
        # Git wants them to be part of the repository's history, not only to be there.
        git.run("update-ref", f"refs/repro-hydra/{number}", commit)
    try:
        git.run("bundle", "unbundle", os.fspath(file))
    finally:
        file.unlink()


def _size_bytes(git: Git) -> int:
    counts = dict(
        line.split(": ") for line in git.run("count-objects", "-v").decode().splitlines() if ": " in line
    )
    return 1024 * (int(counts.get("size", 0)) + int(counts.get("size-pack", 0)))
