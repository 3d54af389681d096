"""One dataset as it lies there now, for ``data.json``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from repro_hydra.data import annex
from repro_hydra.data.cache import StatCache
from repro_hydra.data.errors import shown
from repro_hydra.data.placeholders import GIT, check_contents
from repro_hydra.data.read import Progress
from repro_hydra.data.scan import Options, scan
from repro_hydra.record.data import (
    VERSION_LENGTH,
    DataException,
    DatasetRecord,
    DataVersion,
)


def describe_dataset(
    name: str,
    path: str | Path,
    *,
    ignore: Sequence[str] = (),
    executable: bool = True,
    shown_path: str | None = None,
    versions: Sequence[DataVersion] = (),
    cache: StatCache | None = None,
    paranoid: bool = False,
    progress: Progress | None = None,
    take_over: bool = False,
) -> DatasetRecord:
    """One dataset as it lies there now, for ``data.json``.

    Parameters
    ----------
    shown_path : str, optional
        How the record writes the path; by default as it was given.
    versions : sequence of DataVersion
        What the registry holds, for `registered`.
    cache : StatCache, optional
        None reads every file.
    take_over : bool
        Where another system tracks it, believe that system's version, checked by its own means. Of a clone of a
        git repository, its ``.git`` is left out.

    Raises
    ------
    DataError
        It can't be read, or is not what the other system says; `DataMisuse` where nothing is there.
    """
    shown_path = shown_path if shown_path is not None else shown(str(path).encode("utf-8", "surrogateescape"))
    foreign = None
    if take_over:
        from repro_hydra.data.takeover import (
            LEFT_OUT,
            taken_over,
        )  # for whoever declares data, not for each start

        if tuple(ignore) in LEFT_OUT:
            foreign = taken_over(Path(path), cache=cache, paranoid=paranoid)
    if foreign is not None:
        return DatasetRecord(
            name=name,
            path=shown_path,
            version=foreign.version,
            digest=foreign.digest,
            size_bytes=foreign.size_bytes,
            files=foreign.files,
            kind="directory" if Path(path).is_dir() else "file",
            ignore=list(foreign.ignore),
            executable=executable,
            system=foreign.system,
        )
    if take_over:
        check_contents(Path(path))
    if take_over and GIT not in ignore and os.path.lexists(os.path.join(path, GIT)):  # noqa: PTH118
        ignore = (*ignore, GIT)  # a clone as a whole: what git keeps for itself changes with every look at it
    annexed, annexed_bytes = (
        annex.check_folder(Path(path), full=paranoid) if _may_be_annexed(Path(path)) else (0, 0)
    )
    found = scan(
        Path(path), Options(tuple(ignore), executable), cache=cache, paranoid=paranoid, progress=progress
    )
    snapshot = found.snapshot
    return DatasetRecord(
        name=name,
        path=shown_path,
        version=found.digest[:VERSION_LENGTH],
        digest=found.digest,
        size_bytes=snapshot.size_bytes + annexed_bytes,
        files=snapshot.files + annexed,
        kind=snapshot.kind,
        ignore=list(ignore),
        system="git-annex" if annexed else None,
        executable=executable,
        registered=any(v.name == name and v.digest == found.digest for v in versions),
        files_read=found.files_read,
        exceptions=[DataException(path=shown(where), reason=reason) for where, reason in snapshot.exceptions],
        exceptions_total=snapshot.exceptions_total,
    )


def _may_be_annexed(path: Path) -> bool:
    return path.is_dir() and any(
        (folder / ".git/annex").is_dir() for folder in (path, *path.absolute().parents)
    )
