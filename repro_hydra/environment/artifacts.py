"""The files that an index offers for exact versions, with address and hash, asked of the installer itself.

What is installed does not tell which file it came from: neither a wheel's hash nor its address is kept (PEP 610
speaks of direct addresses only; RECORD holds hashes of the files within). So the index is asked, and by the program
that installed the packages, since that one's settings know which index. It costs network, and nobody pays it unasked.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from repro_hydra.environment.pins import Pin
from repro_hydra.record.environment import Distribution
from repro_hydra.record.lock import Artifact
from repro_hydra.record.redact import redact_text, redact_url
from repro_hydra.temporary import TemporaryFolder

_LIMIT_S = 900
_GIVE_UP_AFTER = 3
Found = dict[str, list[Artifact]]
Ask = Callable[[Sequence[Pin], Path], Found]


class IndexUnavailable(Exception):
    """No installer is here, or the index does not answer."""


class _Refused(Exception):
    """The installer cannot resolve these; its words."""


def find_artifacts(
    pins: Sequence[Pin], distributions: Sequence[Distribution], environ: Mapping[str, str]
) -> tuple[Found, dict[str, str]]:
    """Files for each of `pins` that comes from an index, and for the rest of these the reason why there is none.

    Raises
    ------
    IndexUnavailable
    """
    wanted = [pin for pin in pins if pin.source == "index"]
    if not wanted:
        return {}, {}
    ask = _installer(distributions, environ)
    found: Found = {}
    without: dict[str, str] = {}
    with TemporaryFolder("index") as folder:
        _ask_by_halves(ask, wanted, folder, found, without)
    for pin in wanted:
        if pin.name not in found:
            without.setdefault(pin.name, "the index has no file of it that fits this environment")
    return found, without


def _ask_by_halves(
    ask: Ask, pins: Sequence[Pin], folder: Path, found: Found, without: dict[str, str]
) -> None:
    """One that the index does not have makes an installer refuse all: so the refused are halved until it is found."""
    try:
        found |= ask(pins, folder)
    except _Refused as error:
        if len(pins) > 1:
            middle = len(pins) // 2
            _ask_by_halves(ask, pins[:middle], folder, found, without)
            _ask_by_halves(ask, pins[middle:], folder, found, without)
            return
        without[pins[0].name] = str(error)
        if not found and len(without) >= _GIVE_UP_AFTER:
            raise IndexUnavailable(str(error)) from None


def _installer(distributions: Sequence[Distribution], environ: Mapping[str, str]) -> Ask:
    """Pip or uv: the one that installed most of what is here, if it is to be had."""
    by = Counter(item.installer for item in distributions if item.installer)
    has_pip = importlib.util.find_spec("pip") is not None
    uv = shutil.which("uv", path=environ.get("PATH"))
    if has_pip and (uv is None or by["pip"] >= by["uv"]):
        return lambda pins, folder: _ask_pip(pins, folder, environ)
    if uv is not None:
        return lambda pins, folder: _ask_uv(uv, pins, folder, environ)
    raise IndexUnavailable("neither pip in this environment nor uv on the PATH: nobody to ask the index")


def _ask_pip(pins: Sequence[Pin], folder: Path, environ: Mapping[str, str]) -> Found:
    report = folder / "report.json"
    _run(
        [
            sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--no-deps", "--quiet",
            "--disable-pip-version-check", "--no-input", "--retries", "2", "--report", str(report),
            "-r", str(_write(pins, folder)),
        ],
        folder,
        environ,
    )  # fmt: skip
    found: Found = {}
    for entry in msgspec.json.decode(report.read_bytes(), type=_Report).install:
        hashes = entry.download_info.archive_info.hashes
        if hashes:
            artifact = _artifact(entry.download_info.url, hashes, None)
            found[canonicalize_name(entry.metadata.name)] = [artifact]
    return found


class _ArchiveInfo(msgspec.Struct):
    hashes: dict[str, str] = {}


class _DownloadInfo(msgspec.Struct):
    url: str
    archive_info: _ArchiveInfo = msgspec.field(default_factory=_ArchiveInfo)


class _Metadata(msgspec.Struct):
    name: str


class _Install(msgspec.Struct):
    download_info: _DownloadInfo
    metadata: _Metadata


class _Report(msgspec.Struct):
    """What ``pip install --report`` writes (pip, "Installation Report", version 1)."""

    install: list[_Install]


def _ask_uv(uv: str, pins: Sequence[Pin], folder: Path, environ: Mapping[str, str]) -> Found:
    import tomlkit

    lock = folder / "pylock.toml"
    lock.unlink(missing_ok=True)
    _run(
        [
            uv, "pip", "compile", "--quiet", "--no-deps", "--no-header", "--format", "pylock.toml",
            "--python", sys.executable, "-o", str(lock), str(_write(pins, folder)),
        ],
        folder,
        environ,
    )  # fmt: skip
    found: Found = {}
    for package in tomlkit.parse(lock.read_text(encoding="utf-8")).unwrap().get("packages", []):
        wheels = [_artifact_from_lock(wheel) for wheel in package.get("wheels", [])]
        fitting = [wheel for wheel in wheels if fits_here(wheel.filename)]
        if not fitting and "sdist" in package:
            fitting = [_artifact_from_lock(package["sdist"])]
        if fitting:
            found[canonicalize_name(package["name"])] = fitting
    return found


def _artifact_from_lock(item: Mapping[str, Any]) -> Artifact:
    address = item.get("url") or Path(item["path"]).absolute().as_uri()
    return _artifact(address, dict(item["hashes"]), item.get("size"))


def _artifact(url: str, hashes: Mapping[str, str], size: int | None) -> Artifact:
    filename = unquote(urlsplit(url).path).rpartition("/")[2]
    return Artifact(filename=filename, url=redact_url(url), hashes=dict(hashes), size_bytes=size)


def fits_here(filename: str) -> bool:
    """Whether this interpreter can install the wheel of that name."""
    try:
        _, _, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        return False
    return any(tag in tags for tag in sys_tags())


def _write(pins: Sequence[Pin], folder: Path) -> Path:
    file = folder / "requirements.in"
    file.write_text("".join(f"{pin.name}=={pin.version}\n" for pin in pins))
    return file


def _run(command: list[str], folder: Path, environ: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise IndexUnavailable(f"{Path(command[0]).name} did not answer within {_LIMIT_S} s") from None
    except OSError as error:
        raise IndexUnavailable(f"{Path(command[0]).name}: {error}") from None
    if done.returncode != 0:
        said = [line for line in (done.stderr or done.stdout).splitlines() if "WARNING" not in line]
        raise _Refused(redact_text(" ".join(said).strip())[-300:] or f"status {done.returncode}")
