"""``pylock.toml`` (PEP 751): for each package the very file, with address and hash, or the commit.

The format has no entry for "whatever file an index has of this version": without the files' hashes there is no
such lock, and `CannotExport` says so.
"""

from __future__ import annotations

from typing import Any

from repro_hydra.environment.exports.requirements import names
from repro_hydra.environment.exports.subject import (
    MADE_BY,
    CannotExport,
    Export,
    Subject,
    described,
    notes_of,
)
from repro_hydra.environment.pins import Pin
from repro_hydra.record.lock import Artifact

_MOST_NAMES = 6


def pylock(subject: Subject) -> Export:
    """The file, for ``pip install -r pylock.toml`` (pip 26.1) and ``uv pip sync pylock.toml``.

    Raises
    ------
    CannotExport
        For packages of which neither hash nor commit is known.
    """
    import tomlkit

    pins = subject.pins.installed
    unknown = [f"{pin.name}=={pin.version}" for pin in pins if not _has_source(pin)]
    if unknown:
        more = f" and {len(unknown) - _MOST_NAMES} more" if len(unknown) > _MOST_NAMES else ""
        raise CannotExport(
            "pylock.toml: expected a file with its hash for each package, and what is installed does not tell it "
            f"for {', '.join(unknown[:_MOST_NAMES])}{more}. To ask the index: "
            "repro-hydra env export --format pylock --online"
        )
    own = [
        f"{pin.name} {pin.version}: this project's own code, not in this lock" for pin in subject.pins.project
    ]
    document = tomlkit.document()
    for line in (f"{MADE_BY[0].upper()}{MADE_BY[1:]}: {described(subject)}.", *own, *_remarks(subject)):
        document.add(tomlkit.comment(" ".join(line.splitlines())))
    document.add("lock-version", tomlkit.item("1.0"))
    document.add("environments", tomlkit.item([_marker(subject)]))
    document.add("requires-python", tomlkit.item(f"=={'.'.join(subject.python.split('.')[:2])}.*"))
    document.add("created-by", tomlkit.item("repro-hydra"))
    packages = tomlkit.aot()
    for pin in pins:
        packages.append(tomlkit.item(_package(pin)))
    document.add("packages", packages)
    return Export(
        text=tomlkit.dumps(document), notes=tuple(_remarks(subject)), incomplete=bool(subject.pins.problems)
    )


def _has_source(pin: Pin) -> bool:
    if pin.source == "index":
        return bool(pin.artifacts)
    return pin.source != "archive" or bool(pin.hashes)


def _remarks(subject: Subject) -> list[str]:
    """What whoever installs from it must know."""
    here = [pin.name for pin in subject.pins.installed if pin.source == "index" and pin.here_only]
    told = [*notes_of(subject.pins.installed), *(f"NOT IN THIS LOCK: {p}" for p in subject.pins.problems)]
    if here:
        told.append(
            f"the files of {names(here)} were found on this machine: a lock for others is made where they are not"
        )
    return told


def _marker(subject: Subject) -> str:
    """The environments that the files are for: those of this interpreter and machine."""
    platform = subject.environment.platform
    system = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}.get(
        platform.system, platform.system.lower()
    )
    implementation = subject.environment.interpreter.implementation.lower()
    return (
        f"sys_platform == '{system}' and platform_machine == '{platform.machine}' and "
        f"implementation_name == '{implementation}'"
    )


def _package(pin: Pin) -> dict[str, Any]:
    package: dict[str, Any] = {"name": pin.name}
    if pin.source == "vcs":
        kind, _, url = (pin.url or "").partition("+")
        below = {"subdirectory": pin.subdirectory} if pin.subdirectory else {}
        return {**package, "vcs": {"type": kind, "url": url, "commit-id": pin.commit, **below}}
    if pin.source == "directory":
        return {**package, "directory": {"path": str(pin.folder), "editable": pin.editable}}
    package["version"] = pin.version
    if pin.source == "archive":
        below = {"subdirectory": pin.subdirectory} if pin.subdirectory else {}
        return {**package, "archive": {"url": pin.url, "hashes": dict(pin.hashes), **below}}
    wheels = [item for item in pin.artifacts if item.filename.endswith(".whl")]
    if wheels:
        package["wheels"] = [_file(item) for item in wheels]
    else:
        package["sdist"] = _file(pin.artifacts[0])
    return package


def _file(item: Artifact) -> dict[str, Any]:
    size = {"size": item.size_bytes} if item.size_bytes is not None else {}
    return {"name": item.filename, "url": item.url, **size, "hashes": dict(sorted(item.hashes.items()))}
