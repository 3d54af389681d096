"""An environment held against a lock: each difference with its grade and its mend."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name

from repro_hydra.environment.circumstances import Circumstance, differing_environments
from repro_hydra.environment.pins import INSTALLERS
from repro_hydra.record.environment import Distribution, EnvironmentRecord
from repro_hydra.record.lock import EnvironmentLock, read_lock
from repro_hydra.record.schema import Finding, Severity
from repro_hydra.record.store import RecordError

_KIND = "environment-differs"


def open_lock(path: Path) -> tuple[EnvironmentLock | None, list[Finding]]:
    """The lock, or the finding that says why there is none that can be read."""
    try:
        return read_lock(path), []
    except RecordError as error:
        message = f"environment.lock: {error}. Make it anew: repro-hydra env snapshot -o {path}"
        return None, [Finding(id="environment-lock", severity="blocks", message=message)]


def locked_differences(
    lock: EnvironmentLock,
    here: EnvironmentRecord | None,
    distributions: Sequence[Distribution] | None,
    *,
    in_use: Callable[[str], str | None] | None = None,
) -> list[Finding]:
    """All that is not as in the lock, what blocks first.

    Parameters
    ----------
    here : EnvironmentRecord, optional
        None: only the packages are compared, before anything else of a run is known.
    in_use : callable, optional
        Why a package counts (it is imported, or required by one that is), or None; without it all of them count.
    """
    locked = lock.environment
    found = differing_environments(
        locked, locked if here is None else here, locked.distributions, distributions
    )
    findings = [_finding(item, in_use) for item in found if not _is_of_the_process(item)]
    findings += _origins(locked.distributions or [], distributions or [])
    if locked.distributions is None:
        message = "the lock holds no list of packages, so none can be compared. Run: repro-hydra env snapshot"
        findings.append(Finding(id=f"{_KIND}:packages", severity="blocks", message=message))
    return sorted(findings, key=lambda item: _ORDER.index(item.severity))


_ORDER: tuple[Severity, ...] = ("blocks", "may_change_bits", "harmless")


def _is_of_the_process(item: Circumstance) -> bool:
    """Variables are set by whoever starts a process: the run's own options say which must be in force."""
    return item.key.startswith(("variables.", "locale.", "kernel"))


def _finding(item: Circumstance, in_use: Callable[[str], str | None] | None) -> Finding:
    severity, because = _grade(item, in_use)
    found = "none" if item.b is None else item.b
    wanted = "none" if item.a is None else item.a
    return Finding(
        id=f"{_KIND}:{item.key}",
        severity=severity,
        message=f"{item.key}: locked {wanted}, found {found}{because}",
    )


def _grade(item: Circumstance, in_use: Callable[[str], str | None] | None) -> tuple[Severity, str]:
    if item.key.startswith("packages."):
        name = item.key.removeprefix("packages.")
        if name in INSTALLERS:
            return "harmless", " (it only installs others)"
        if item.a is None:
            return "harmless", ""
        if in_use is None:
            return "blocks", ""
        why = in_use(name)
        return ("blocks", f" ({why})") if why is not None else ("may_change_bits", " (not imported so far)")
    if item.key == "python":
        same_minor = str(item.a).split(".")[:2] == str(item.b).split(".")[:2]
        return ("may_change_bits" if same_minor else "blocks"), ""
    if item.key in ("implementation", "system", "machine"):
        return "blocks", ""
    return item.severity, ""


def _origins(locked: Sequence[Distribution], here: Sequence[Distribution]) -> Iterator[Finding]:
    """Equal versions of another origin: an editable install where the lock had a release, or the other way round."""
    installed = {canonicalize_name(item.name): item for item in here}
    for item in locked:
        name = canonicalize_name(item.name)
        other = installed.get(name)
        if other is None or other.version != item.version:
            continue
        if other.editable != item.editable:
            told = ["editable" if one.editable else "an installed copy" for one in (item, other)]
            message = (
                f"packages.{name}: locked as {told[0]}, found {told[1]} of the same version {item.version}"
            )
            yield Finding(id=f"{_KIND}:origin.{name}", severity="may_change_bits", message=message)
        elif item.editable and item.commit != other.commit and item.commit and other.commit:
            message = (
                f"packages.{name}: editable, locked at commit {item.commit[:12]}, found {other.commit[:12]}"
            )
            yield Finding(id=f"{_KIND}:origin.{name}", severity="harmless", message=message)


def remedy(finding: Finding, lock: Path | str) -> str:
    """What to do about it."""
    subject = finding.id.partition(":")[2]
    if subject.startswith(("packages", "origin.")):
        if ": locked none," in finding.message:
            return f"nothing, or take the difference into the lock: repro-hydra env snapshot -o {lock}"
        return (
            f"install what the lock has: repro-hydra env export --from {lock} --format requirements -o FILE, then "
            f"pip install --no-deps -r FILE; or take the difference into the lock: repro-hydra env snapshot -o {lock}"
        )
    if subject in ("python", "implementation"):
        return "use an environment of the locked Python"
    return f"nothing, if another machine is meant; equal bits are promised on the same kind only. New lock: {lock}"
