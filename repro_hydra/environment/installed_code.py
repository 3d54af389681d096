"""Whether the installed code that this process has loaded is what its installer put there.

The record names a distribution by its version. A line that somebody added to a file in site-packages, to see what
happens, changes no version; but the installer's list (``RECORD``, in the specification of binary distributions) has a
digest of each file. To compare thousands of files at the end of each run would take half a second, so first only their
times are asked for: what an installer wrote is as old as that list.
"""

from __future__ import annotations

import base64
import hashlib
import os
import site
import sys
import sysconfig
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import msgspec

from repro_hydra.record.schema import Finding

_INSTALLING_S = 120.0
"""So long before its list an installer writes the files; where it took longer they are compared for nothing."""
_SETTLING_S = 5.0
_MOST_FILES = 5000
_MOST_BYTES = 64 << 20
"""Of one file."""
_OF_AN_ENVIRONMENT = frozenset({"_virtualenv.py"})
"""Put there by what made the environment."""


class _Listed(msgspec.Struct, frozen=True):
    distribution: str
    """``NAME-VERSION``, as its folder is called."""
    digest: str
    """``sha256=…``; empty where the list has none."""


def loaded_from(folders: Collection[str]) -> dict[str, list[str]]:
    """The files of the modules that this process has loaded from `folders`, by folder, relative to it."""
    names: list[str] = []
    for module in list(sys.modules.values()):
        name = getattr(module, "__dict__", {}).get("__file__")  # a lazy module must not be woken
        if isinstance(name, str):
            names.append(name)
    return {
        folder: [name[len(folder) + 1 :] for name in names if name.startswith(folder + os.sep)]
        for folder in folders
    }


def site_folders() -> list[str]:
    """Where installers put packages for this interpreter."""
    paths = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), site.getusersitepackages()]
    return list(dict.fromkeys(path.rstrip(os.sep) for path in paths if path and os.path.isdir(path)))  # noqa: PTH112


def altered_code(loaded: dict[str, list[str]]) -> list[Finding]:
    """A finding for each file in `loaded` that is not as its installer left it, or that none put there.

    Parameters
    ----------
    loaded : dict
        Folder of packages to the files in it that are in use, relative to it.
    """
    return [finding for folder, names in loaded.items() for finding in _altered_in(folder, names)]


def _altered_in(folder: str, names: Iterable[str]) -> Iterator[Finding]:
    lists = _lists_in(folder)
    written_s = sorted(os.stat(path).st_ctime for path in lists.values())  # noqa: PTH116
    suspected = [name for name in names if not _as_old_as_a_list(f"{folder}/{name}", written_s)]
    if not suspected or len(suspected) > _MOST_FILES:
        return  # an environment that was copied: its times tell nothing, and to read it all is not worth it
    listed = _listed(lists, frozenset(suspected))
    all_listed = _is_listed_whole(folder)
    for name in suspected:
        known = listed.get(name)
        if known is None:
            if all_listed and name not in _OF_AN_ENVIRONMENT:
                yield _put_there(folder, name)
        elif known.digest and not _has(f"{folder}/{name}", known.digest):
            yield _changed(folder, name, known.distribution)


def _lists_in(folder: str) -> dict[str, str]:
    """Distribution to the path of its installer's list."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{entry.path}/RECORD"
            if entry.name.endswith(".dist-info") and os.path.isfile(path):  # noqa: PTH113
                found[entry.name.removesuffix(".dist-info")] = path
    return found


def _is_listed_whole(folder: str) -> bool:
    """Whether every package there has a list: not in Debian's folders, nor conda's, nor beside eggs of long ago."""
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")) or sys.prefix == sys.base_prefix:  # noqa: PTH112, PTH118
        return False
    return not any(name.endswith((".egg-info", ".egg", ".egg-link")) for name in os.listdir(folder))  # noqa: PTH208


def _as_old_as_a_list(path: str, written_s: list[float]) -> bool:
    try:
        changed_s = os.stat(path).st_ctime  # noqa: PTH116 (of thousands of files)
    except OSError:
        return True  # it is gone, and there is nothing to compare
    place = bisect_left(written_s, changed_s - _SETTLING_S)
    return place < len(written_s) and written_s[place] - changed_s <= _INSTALLING_S


def _listed(lists: dict[str, str], wanted: frozenset[str]) -> dict[str, _Listed]:
    found: dict[str, _Listed] = {}
    tops = {name.partition("/")[0].encode() for name in wanted}
    for distribution, path in lists.items():
        try:
            data = Path(path).read_bytes()
        except OSError:
            continue
        if not any(top in data for top in tops):
            continue  # to take all lists apart takes 0.14 s
        for line in data.decode("utf-8", "replace").splitlines():
            name, digest, _ = line.rsplit(",", 2) if line.count(",") >= 2 else (line, "", "")
            name = name.strip('"')
            if name in wanted:
                found[name] = _Listed(distribution, digest)
    return found


def _has(path: str, digest: str) -> bool:
    """Whether the file has this digest, as far as it can be told."""
    algorithm, _, wanted = digest.partition("=")
    if algorithm != "sha256":
        return True
    try:
        if os.stat(path).st_size > _MOST_BYTES:  # noqa: PTH116
            return True
        found = hashlib.sha256(Path(path).read_bytes()).digest()
    except OSError:
        return True
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == wanted.rstrip("=")


def _changed(folder: str, name: str, distribution: str) -> Finding:
    package, _, version = distribution.rpartition("-")
    return Finding(
        id=f"installed-code-changed:{name}",
        severity="may_change_bits",
        message=(
            f"{name}: is not what the installer of {package} {version} left there, and the record holds the version "
            f"alone. Install it again: pip install --force-reinstall --no-deps {package}=={version}"
        ),
        file=os.path.join(folder, name),  # noqa: PTH118
    )


def _put_there(folder: str, name: str) -> Finding:
    return Finding(
        id=f"installed-code-changed:{name}",
        severity="may_change_bits",
        message=(
            f"{name}: lies among the installed packages, and no installer put it there, so that no record holds it. "
            "Move it into the project"
        ),
        file=os.path.join(folder, name),  # noqa: PTH118
    )
