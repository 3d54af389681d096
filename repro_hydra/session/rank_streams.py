"""Ranks of one run that drew from the same stream: the same dropout, noise and augmentations on each of them.

It is no threat to equal bits, and may be meant, as for equal initial weights: so it is written down and not held
against the run. By default each rank has seeds of its own (``docs/design/seeds.md``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import Finding
from repro_hydra.session.capture import attached_processes

_SEEDED = {"python": "random", "numpy": "numpy.random", "torch": "torch", "cuda": "torch"}
"""What the audit calls the library where somebody seeds it again."""


def same_streams(own: Mapping[str, str], paths: RunPaths, known: Sequence[Finding]) -> list[Finding]:
    """What rank 0, which draws from `own`, shares with the others that have ended.

    Parameters
    ----------
    own : mapping
        As `streams_drawn_from` tells it.
    known : sequence of Finding
        Those of rank 0; where one tells who seeded the library again, that line is named.
    """
    holders: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for library, stream in own.items():
        holders[library, stream].append("rank 0")
    for attached in attached_processes(paths):
        for library, stream in attached.streams.items():
            holders[library, stream].append(attached.process.role)
    found: dict[str, Finding] = {}
    for (library, _), ranks in holders.items():
        if len(ranks) > 1 and library not in found:
            found[library] = _finding(library, ranks, known)
    return list(found.values())


def _finding(library: str, ranks: Sequence[str], known: Sequence[Finding]) -> Finding:
    who = next((f for f in known if f.id.startswith(f"seeded-again:{_SEEDED[library]}@")), None)
    where = "" if who is None else f"{who.file}:{who.line}: "
    return Finding(
        id=f"same-stream:{library}",
        severity="harmless",
        message=(
            f"{where}{' and '.join(ranks)} drew the same numbers from {library}: dropout, noise and augmentations "
            "repeat themselves on each. Where only the weights are to begin alike, leave the seeding to this package, "
            "which gives each rank its own, and let DistributedDataParallel send the weights"
        ),
        file=None if who is None else who.file,
        line=None if who is None else who.line,
    )
