"""Every installed distribution, with its version and origin.

`importlib.metadata` finds them; its own way to a name and a version parses the whole METADATA with the email
package (65 distributions: 26 ms). Here the first lines of that file are read (65 distributions: 1 ms).
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import blake3
import msgspec

from repro_hydra.environment.source import ask_sources
from repro_hydra.record.environment import Distribution, OriginKind, Source
from repro_hydra.record.redact import redact_url
from repro_hydra.record.schema import JSON

_HEAD_BYTES = 2048
_SEPARATORS = re.compile(r"[-_.]+")
_NAME = re.compile(rb"^Name:[ \t]*(.+?)[ \t]*\r?$", re.MULTILINE)
_FOLDER = re.compile(r"([A-Za-z0-9].*?)-([^-]+)(?:-py[0-9.]+)?\.(?:dist|egg)-info")
"""Where the metadata is damaged; "~orch-2.0.dist-info" is what a broken uninstall left."""
_VERSION = re.compile(rb"^Version:[ \t]*(.+?)[ \t]*\r?$", re.MULTILINE)


def list_distributions(
    *, path: Sequence[str] | None = None, environ: Mapping[str, str] | None = None
) -> list[Distribution]:
    """The distributions that an import can reach, sorted by canonical name; of two with one name the first counts.

    Parameters
    ----------
    path : sequence of str, optional
        Where to look, `sys.path` by default.
    environ : mapping, optional
        The variables for git, which is asked for the state of editable installs; the process's own by default.
    """
    searched = sys.path if path is None else path
    found: dict[str, Distribution] = {}
    for metadata in importlib.metadata.distributions(path=list(searched)):
        distribution = _describe(metadata)
        if distribution is not None:
            found.setdefault(_canonical(distribution.name), distribution)
    with_state = _with_source_state(found.values(), environ)
    return [distribution for _, distribution in sorted(zip(found, with_state, strict=True))]


def digest_distributions(distributions: Iterable[Distribution]) -> str:
    """BLAKE3 over the JSON of the list, sorted by canonical name: equal lists have equal digests."""
    ordered = sorted(distributions, key=lambda distribution: _canonical(distribution.name))
    return blake3.blake3(msgspec.json.encode(ordered)).hexdigest()


def _canonical(name: str) -> str:
    """PEP 503's normalised name, as `packaging.utils.canonicalize_name` gives it for 3 ms of import in each start."""
    return _SEPARATORS.sub("-", name).lower()


def _describe(metadata: importlib.metadata.Distribution) -> Distribution | None:
    name, version = _name_and_version(metadata)
    if not name:
        return None  # leftovers of a broken uninstall ("~orch"): a folder without metadata
    installer = (_read(metadata, "INSTALLER") or "").strip() or None
    direct_url = _direct_url(metadata)
    if direct_url is not None:
        return _from_direct_url(name, version, installer, direct_url)
    if _is_development_egg(metadata):
        source = str(Path(str(metadata.locate_file(""))).resolve())
        return Distribution(name=name, version=version, kind="editable", url=source, editable=True)
    kind: OriginKind | None = None
    if installer is not None:
        kind = (
            "conda" if installer == "conda" else "index"
        )  # PEP 610: an index install has no direct_url.json
    return Distribution(name=name, version=version, kind=kind, installer=installer)


def _name_and_version(metadata: importlib.metadata.Distribution) -> tuple[str | None, str | None]:
    folder = _folder(metadata)
    if folder is not None:
        for file in (f"{folder}/METADATA", f"{folder}/PKG-INFO", str(folder)):
            head = _content(file, _HEAD_BYTES)
            name, version = (_NAME.search(head), _VERSION.search(head)) if head else (None, None)
            if name and version:
                return name.group(1).decode(errors="replace"), version.group(1).decode(errors="replace")
        match = _FOLDER.fullmatch(folder.name)
        return (match[1], match[2]) if match else (None, None)
    fields = metadata.metadata  # in a zip file, or from a finder of somebody's own
    return (fields["Name"], fields["Version"]) if fields is not None else (None, None)


def _folder(metadata: importlib.metadata.Distribution) -> Path | None:
    folder = getattr(metadata, "_path", None)  # private, and only a short cut: else the slow way is taken
    return folder if isinstance(folder, Path) else None


def _read(metadata: importlib.metadata.Distribution, name: str) -> str | None:
    folder = _folder(metadata)
    try:
        if folder is None:
            return metadata.read_text(name)
        content = _content(f"{folder}/{name}")
        return None if content is None else content.decode()
    except (OSError, UnicodeDecodeError):
        return None


def _content(file: str, most: int = -1) -> bytes | None:
    """What is there: by plain calls, since an environment has thousands of these files."""
    try:
        with open(file, "rb", buffering=0) as stream:  # noqa: PTH123 (on this path it takes a third of the time)
            return stream.read(most)
    except OSError:
        return None


def _direct_url(metadata: importlib.metadata.Distribution) -> dict[str, JSON] | None:
    text = _read(metadata, "direct_url.json")
    if text is None:
        return None
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("url"), str) else None


def _from_direct_url(
    name: str, version: str | None, installer: str | None, direct_url: dict[str, JSON]
) -> Distribution:
    """PEP 610: one of ``vcs_info``, ``archive_info`` and ``dir_info`` says what the URL is."""
    url = redact_url(direct_url["url"])
    vcs, directory = direct_url.get("vcs_info"), direct_url.get("dir_info")
    if isinstance(vcs, dict):
        commit = vcs.get("commit_id")
        return Distribution(
            name=name,
            version=version,
            kind="vcs",
            url=f"{vcs['vcs']}+{url}" if isinstance(vcs.get("vcs"), str) else url,
            commit=commit if isinstance(commit, str) else None,
            installer=installer,
            source=_source(direct_url),
        )
    if isinstance(directory, dict):
        editable = directory.get("editable") is True
        kind: OriginKind = "editable" if editable else "local"
        return Distribution(
            name=name, version=version, kind=kind, url=url, editable=editable, installer=installer
        )
    return Distribution(
        name=name,
        version=version,
        kind="archive",
        url=url,
        installer=installer,
        source=_source(direct_url),
    )


def _source(direct_url: dict[str, JSON]) -> Source | None:
    archive, subdirectory = direct_url.get("archive_info"), direct_url.get("subdirectory")
    hashes: dict[str, str] = {}
    if isinstance(archive, dict):
        given = archive.get("hashes")
        one = archive.get("hash")  # the form before PEP 610 was amended: "sha256=…"
        if isinstance(given, dict):
            hashes = {str(name): value for name, value in given.items() if isinstance(value, str)}
        elif isinstance(one, str) and "=" in one:
            hashes = dict([one.split("=", 1)])
    below = subdirectory if isinstance(subdirectory, str) else None
    return Source(hashes=hashes, subdirectory=below) if hashes or below else None


def _is_development_egg(metadata: importlib.metadata.Distribution) -> bool:
    """Whether it is `setup.py develop`'s: its egg-info lies beside its source instead of in site-packages."""
    folder = _folder(metadata)
    if folder is None or folder.suffix != ".egg-info":
        return False
    return folder.is_dir() and not {"site-packages", "dist-packages"} & set(folder.parts)


def _with_source_state(
    distributions: Iterable[Distribution], environ: Mapping[str, str] | None
) -> list[Distribution]:
    listed = list(distributions)
    sources = {
        position: path
        for position, distribution in enumerate(listed)
        if distribution.editable and (path := local_path(distribution.url)) is not None
    }
    if not sources:
        return listed
    states = ask_sources(sorted(set(sources.values())), environ)
    for position, path in sources.items():
        state = states[path]
        source = None if state.remote is None else Source(remote=state.remote)
        listed[position] = msgspec.structs.replace(
            listed[position], commit=state.commit, dirty=state.dirty, source=source
        )
    return listed


def local_path(url: str | None) -> Path | None:
    """The folder behind a ``file:`` URL or a bare path; None for any other address."""
    if url is None:
        return None
    if not url.startswith("file:"):
        return Path(url) if url.startswith("/") else None
    # urllib.request.url2pathname would do, for 10 ms of import (it brings http and ssl along).
    path = unquote(urlsplit(url).path)
    return Path(path[1:] if re.match(r"/[A-Za-z]:", path) else path)  # file:///C:/project
