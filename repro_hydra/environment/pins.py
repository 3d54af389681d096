"""How each installed distribution is installed again: from an index, a repository, an archive or a folder.

What an export says is decided here once, so that all formats agree. Names, versions and addresses may come from a
file of somebody else's and end up in the input of installers and shells, so each is checked.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from repro_hydra.environment.distributions import local_path
from repro_hydra.record.environment import Distribution
from repro_hydra.record.lock import Artifact

Source = Literal["index", "vcs", "archive", "directory", "project"]
INSTALLERS = frozenset({"pip", "uv", "wheel", "setuptools", "distribute"})
"""They bring packages; a new environment comes with its own."""
_LEFT_OUT = frozenset({"pip"})
"""In no list, since it installs the list; each export says so."""
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_VCS_URL = re.compile(r"(?:git|hg|svn|bzr)\+(?:https?|ssh|file)://[^\s\"'`$\\;|&<>#]+")
_URL = re.compile(r"(?:https?|file)://[^\s\"'`$\\;|&<>]+")
_COMMIT = re.compile(r"[0-9A-Za-z]{1,64}")
_SUBDIRECTORY = re.compile(r"[\w./-]+")
_HASH = re.compile(r"[0-9a-f]{32,128}")
_SCP = re.compile(r"([\w.-]+@[\w.-]+):(?!/)(.+)")
"""``git@host:path``, which pip wants as ``ssh://git@host/path``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One distribution, and where an installer gets it from."""

    name: str
    """Canonical."""
    version: str
    source: Source
    url: str | None = None
    """Of a repository (``git+https://…``), an archive, or a ``file:`` address of a folder."""
    commit: str | None = None
    subdirectory: str | None = None
    editable: bool = False
    hashes: Mapping[str, str] = field(default_factory=dict)
    """Of an archive."""
    artifacts: tuple[Artifact, ...] = ()
    """Files of an index."""
    notes: tuple[str, ...] = ()
    """What whoever installs this must know."""

    @property
    def folder(self) -> Path | None:
        return local_path(self.url) if self.source in ("directory", "project") else None

    @property
    def here_only(self) -> bool:
        """Whether it is to be had on this machine alone."""
        urls = [self.url or ""] if self.source != "index" else [item.url for item in self.artifacts]
        return bool(urls) and all(url.removeprefix("git+").startswith("file:") for url in urls)

    @property
    def local_version(self) -> str | None:
        """The part after the ``+``, which an index of the public has none of."""
        return Version(self.version).local if self.source == "index" else None


@dataclass(frozen=True, slots=True)
class Pins:
    """All of them, and what cannot be pinned."""

    pins: tuple[Pin, ...]
    problems: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    """What a new environment brings itself, with its version here."""

    @property
    def installed(self) -> tuple[Pin, ...]:
        """Those that a list of requirements can hold: all but the project itself."""
        return tuple(pin for pin in self.pins if pin.source != "project")

    @property
    def project(self) -> tuple[Pin, ...]:
        return tuple(pin for pin in self.pins if pin.source == "project")


def pins_of(
    distributions: Sequence[Distribution],
    *,
    artifacts: Mapping[str, Sequence[Artifact]] | None = None,
    project: Path | None = None,
) -> Pins:
    """A pin for each distribution but pip.

    Parameters
    ----------
    artifacts : mapping, optional
        Canonical name to the files that an index offers.
    project : Path, optional
        The project's top folder: an editable install in it is the code, not a part of the environment.
    """
    found, problems, left_out = [], [], []
    for item in distributions:
        name = canonicalize_name(item.name)
        if name in _LEFT_OUT:
            left_out.append(f"{name} {item.version or 'of an unknown version'}")
            continue
        try:
            found.append(_pin(name, item, (artifacts or {}).get(name, ()), project))
        except ValueError as error:
            problems.append(f"{item.name!r}: {error}")
    return Pins(tuple(sorted(found, key=lambda pin: pin.name)), tuple(problems), tuple(left_out))


def _pin(name: str, item: Distribution, artifacts: Sequence[Artifact], project: Path | None) -> Pin:
    if not _NAME.fullmatch(item.name):
        raise ValueError("is no name of a package")
    try:
        version = str(Version(item.version or ""))
    except InvalidVersion:
        raise ValueError(f"expected a version, found {item.version!r}") from None
    if item.editable:
        return _editable(name, version, item, project)
    if item.kind == "vcs":
        return _from_repository(name, version, item)
    if item.kind == "local":
        url = _checked(_URL, item.url, "address")
        note = f"a folder of this machine ({url}); elsewhere its source must be brought along"
        return Pin(name=name, version=version, source="directory", url=url, notes=(note,))
    if item.kind == "archive":
        return _from_archive(name, version, item)
    notes: tuple[str, ...] = ()
    if item.kind == "conda":
        notes += ("installed by conda, whose build may differ from the index's",)
    if Version(version).local is not None:
        notes += (
            f"+{Version(version).local} is a build of its own: the public index has none of that name. Name "
            "the index or folder that it came from (--extra-index-url, --find-links); without the part from "
            "the + on, the index gives another build, which may change bits",
        )
    good = tuple(item for item in artifacts if _is_sound(item))
    if len(good) < len(artifacts):
        notes += (
            f"{len(artifacts) - len(good)} of the {len(artifacts)} files that are known of it are left out: "
            "their addresses or hashes are none",
        )
    return Pin(name=name, version=version, source="index", artifacts=good, notes=notes)


def _editable(name: str, version: str, item: Distribution, project: Path | None) -> Pin:
    folder = local_path(item.url)
    if folder is None:
        raise ValueError(f"editable, and its source {item.url!r} is no folder")
    url = folder.as_uri()
    if project is not None and Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(project)):
        return Pin(name=name, version=version, source="project", url=url, editable=True)
    remote = None if item.source is None else item.source.remote
    if remote is not None and item.commit and item.dirty is False:
        at = _repository_url(remote)
        if at is not None and _COMMIT.fullmatch(item.commit):
            below = _place_in_repository(folder)
            note = f"editable here, in {folder}: its commit must have been pushed"
            if below is None:
                note += ". That folder is not here: it is taken for the repository's top"
            if below is None or below == "." or _SUBDIRECTORY.fullmatch(below):
                return Pin(
                    name=name, version=version, source="vcs", url=at, commit=item.commit,
                    subdirectory=None if below == "." else below, notes=(note,),
                )  # fmt: skip
            why = f"no address of a repository can hold its folder there, {below!r}"
        else:
            why = "its commit or its remote has no address that an installer reads"
    else:
        why = "its files differ from its commit" if item.dirty else "no commit on a remote is known"
    note = f"editable, {why}: to be had on this machine alone"
    return Pin(
        name=name, version=version, source="directory", url=_checked(_URL, url, "folder"), editable=True, notes=(note,)
    )  # fmt: skip


def _place_in_repository(folder: Path) -> str | None:
    """Where in its repository the folder lies; None where no repository is there (any more, or on this machine)."""
    for above in (folder, *folder.parents):
        if (above / ".git").exists():
            return folder.relative_to(above).as_posix()
    return None


def _from_repository(name: str, version: str, item: Distribution) -> Pin:
    url = _checked(_VCS_URL, item.url, "address of a repository")
    commit = _checked(_COMMIT, item.commit, "commit")
    below = None if item.source is None else item.source.subdirectory
    if below is not None and not _SUBDIRECTORY.fullmatch(below):
        raise ValueError(f"expected a subdirectory, found {below!r}")
    return Pin(name=name, version=version, source="vcs", url=url, commit=commit, subdirectory=below)


def _from_archive(name: str, version: str, item: Distribution) -> Pin:
    url = _checked(_URL, item.url, "address of an archive")
    source = item.source
    hashes = {} if source is None else {k: v for k, v in source.hashes.items() if _HASH.fullmatch(v)}
    below = None if source is None else source.subdirectory
    notes: tuple[str, ...] = () if not url.startswith("file:") else (f"a file of this machine ({url})",)
    if source is not None and len(hashes) < len(source.hashes):
        notes += (
            f"{', '.join(sorted(source.hashes.keys() - hashes))} is left out: expected a hash's digits",
        )
    return Pin(
        name=name, version=version, source="archive", url=url, hashes=hashes, subdirectory=below, notes=notes
    )


def _repository_url(remote: str) -> str | None:
    scp = _SCP.fullmatch(remote)
    url = f"git+ssh://{scp[1]}/{scp[2]}" if scp else f"git+{remote}"
    return url if _VCS_URL.fullmatch(url) else None


def _checked(pattern: re.Pattern[str], value: str | None, what: str) -> str:
    if value is None or not pattern.fullmatch(value):
        article = "an" if what[0] in "aeiou" else "a"
        raise ValueError(f"expected {article} {what}, found {value!r}")
    return value


def _is_sound(item: Artifact) -> bool:
    return bool(
        _URL.fullmatch(item.url)
        and item.hashes
        and all(re.fullmatch(r"\w+", name) and _HASH.fullmatch(value) for name, value in item.hashes.items())
    )
