"""Whether a record may be run without asking: who made it, and whether it still is what they made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from repro_hydra.code.facts import Location
from repro_hydra.record.manifest import digest_file
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.vouch import user_key, vouched
from repro_hydra.reproduce.code_source import vouching_snapshot
from repro_hydra.reproduce.inside import LeadsOut, path_inside
from repro_hydra.reproduce.original import Original

_NAMES = ("run.json", "config.json", "code.json", "code.patch", "code.bundle")
EXECUTED = tuple(f"{RECORD_DIR}/{name}" for name in _NAMES)
"""What a reproduction goes by."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Whether what a record would run may be run unasked, and why."""

    given: bool
    reason: str
    own: bool = False
    """This user's own key vouches for it."""


def trust_in(original: Original, here: Sequence[Location], environ: Mapping[str, str]) -> Trust:
    """A key of this user's vouches for the whole record; a snapshot kept here, for one that is as it was made."""
    who = vouched(original.paths, user_key(environ))
    if who == "this user":
        return Trust(True, "this user's key vouches for it", own=True)
    if who == "changed since":
        return Trust(False, "its command, config or code was changed since this user's run made it")
    if not vouching_snapshot(original.code, here, environ):
        return Trust(False, "neither this user's key nor a snapshot in this repository vouches for it")
    changed = changed_since_manifest(original, EXECUTED)
    if changed:
        what = ", ".join(changed)
        return Trust(False, f"its code is a snapshot of this repository, but it was changed since ({what})")
    if original.manifest is None:
        why = "its run did not end by itself" if original.run.ended_at is None else "its manifest is missing"
        return Trust(False, f"its code is a snapshot of this repository, but no manifest seals it: {why}")
    return Trust(True, "its code is a snapshot of this repository")


def changed_since_manifest(original: Original, names: Sequence[str] | None = None) -> list[str]:
    """The files of the manifest (those in `names`, if given) that are not as it says."""
    changed = []
    for entry in [] if original.manifest is None else original.manifest.files:
        if names is not None and entry.path not in names:
            continue
        try:
            path = path_inside(original.dir, entry.path)
            if not path.is_file():
                changed.append(f"{entry.path}: gone")
            elif path.stat().st_size != entry.size_bytes or digest_file(path) != entry.blake3:
                changed.append(f"{entry.path}: changed")
        except LeadsOut as error:
            changed.append(str(error))
        except OSError as error:
            changed.append(f"{entry.path}: cannot be read ({error.strerror})")
    return changed
