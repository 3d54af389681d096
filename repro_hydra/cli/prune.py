"""``repro-hydra prune``: drop snapshots that no record refers to, leftovers, and (on request) old records."""

from __future__ import annotations

import os
import platform
import re
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import folders, now, print_json, shorten_home
from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.code.git import GitError, GitUnavailableError
from repro_hydra.launcher.freezing import frozen_place
from repro_hydra.prune.leftovers import frozen_left, remove, remove_frozen, scratch_left
from repro_hydra.prune.records import old_records
from repro_hydra.prune.references import referred_to, where_records_may_be
from repro_hydra.prune.snapshots import Snapshot, drop, settled_snapshots, unreferred
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.places import DEFAULT_PLACES, noted_places, project_of
from repro_hydra.record.store import RecordError
from repro_hydra.sweep.table import clean

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_DEFAULT_AGE_S = 30 * 86400


def run(
    roots: list[Path],
    *,
    older_than: str | None,
    records: bool,
    dry_run: bool,
    force: bool,
    freeze_dir: Path | None,
    json: bool,
) -> None:
    """The command."""
    age_s = None if older_than is None else seconds(older_than)
    here, environ, host = Path.cwd(), os.environ, platform.node()
    given = folders(roots)
    kept: list[str] = []
    found: list[Snapshot] = []
    try:
        found = settled_snapshots(
            here, environ
        )  # before the records are looked at: each has its record by then
    except (GitError, GitUnavailableError) as error:
        kept.append(f"snapshots: none that git could be asked about ({error})")
    places = where_records_may_be(here, given, environ)
    leaving: list[str] = []
    if records:
        before = now() - timedelta(seconds=_DEFAULT_AGE_S if age_s is None else age_s)
        asked = given or [place for place in places.own if _is_of(project_of(here), place)]
        leaving = old_records(referred_to(asked).located, before, host, now())
    referred = referred_to(places.own, leaving)
    unknown = [*places.out_of_reach, *referred.unknown]
    ids = referred.ids | referred_to(places.others).ids
    chosen = unreferred(found, ids, here, time.time() - (age_s or 0), environ) if found else []
    refused = bool(unknown and chosen and not force)
    if refused:
        kept += [
            f"{len(chosen)} snapshots: what may refer to them could not be looked at (--force)",
            *unknown,
        ]
        chosen = []
    over, why = frozen_left(frozen_place(None if freeze_dir is None else str(freeze_dir)), host, force=force)
    kept += why
    scratch = scratch_left(time.time())
    told = [] if dry_run else _drop(here, chosen, leaving, over, scratch)
    document = {
        "dry_run": dry_run,
        "snapshots": chosen,
        "snapshots_kept": len(found) - len(chosen),
        "records": leaving,
        "frozen": [frozen.folder for frozen in over],
        "scratch": [str(path) for path in scratch],
        "kept": kept,
        "told": told,
    }
    if json:
        print_json(document)
    else:
        _print(document, "would drop" if dry_run else "dropped")
    if refused:
        raise SystemExit(NO)


def _drop(
    here: Path, chosen: list[Snapshot], leaving: list[str], over: list[FrozenTree], scratch: list[Path]
) -> list[str]:
    """Do it; what is to be told of it."""
    told = drop(here, chosen, os.environ)
    told += remove(Path(directory, RECORD_DIR) for directory in leaving)
    for frozen in over:
        try:
            told += remove_frozen(frozen)
        except (OSError, RecordError) as error:
            told.append(f"{frozen.folder}: {error}")
    return told + remove(scratch)


def seconds(text: str) -> float:
    """An age such as ``30d``, ``12h``, ``90m``.

    Raises
    ------
    UserError
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        raise UserError(f"--older-than: expected an age such as 30d, 12h or 90m, found {text!r}")
    return float(match[1]) * _UNITS[match[2]]


def _is_of(project: Path, place: Path) -> bool:
    return place in (*noted_places(project), *(project / name for name in DEFAULT_PLACES))


def _print(document: dict[str, Any], did: str) -> None:
    for one in document["snapshots"]:
        print(f"{did} snapshot {one.ref} ({one.commit[:12]})")
    for what, key in (("record", "records"), ("frozen code", "frozen"), ("scratch folder", "scratch")):
        for path in document[key]:
            print(clean(f"{did} {what} {shorten_home(path)}"))
    for line in document["kept"]:
        print(clean(f"kept: {line}"))
    for line in document["told"]:
        print(clean(line))
    print(f"{did} {len(document['snapshots'])} snapshots; {document['snapshots_kept']} stay")
