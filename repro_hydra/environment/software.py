"""Interpreter, operating system, threads, and what the process inherited from its shell."""

from __future__ import annotations

import locale
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from repro_hydra.environment.unknown import Unknown
from repro_hydra.record.environment import Interpreter, Platform, ThreadPool
from repro_hydra.record.schema import JSON

_FLAGS = (
    "debug", "inspect", "interactive", "optimize", "dont_write_bytecode", "no_user_site", "no_site",
    "ignore_environment", "verbose", "bytes_warning", "quiet", "hash_randomization", "isolated", "dev_mode",
    "utf8_mode", "warn_default_encoding", "safe_path", "int_max_str_digits",
)  # fmt: skip


def describe_interpreter() -> Interpreter:
    gil = getattr(sys, "_is_gil_enabled", None)
    return Interpreter(
        version=platform.python_version(),
        implementation=platform.python_implementation(),
        executable=sys.executable or None,
        prefix=sys.prefix,
        base_prefix=sys.base_prefix,
        build=" ".join(platform.python_build()),
        compiler=platform.python_compiler(),
        flags={name: getattr(sys.flags, name) for name in _FLAGS if hasattr(sys.flags, name)},
        gil=None if gil is None else gil(),
    )


def describe_platform(unknown: Unknown) -> Platform:
    # `platform.platform()` and `.libc_ver()` read the interpreter's binary; these are system calls.
    names = platform.uname()
    return Platform(
        system=names.system,
        release=names.release,
        version=names.version,
        machine=names.machine,
        distribution=unknown.attempt("platform.distribution", _distribution),
        libc=unknown.attempt("platform.libc", _libc),
    )


def _distribution() -> str | None:
    if sys.platform == "darwin":
        return f"macOS {platform.mac_ver()[0]}"
    if sys.platform == "win32":
        return platform.win32_edition()
    release = platform.freedesktop_os_release()
    return release.get("PRETTY_NAME") or release.get("ID")


def _libc() -> str | None:
    if not hasattr(os, "confstr") or "CS_GNU_LIBC_VERSION" not in os.confstr_names:
        return None
    return os.confstr("CS_GNU_LIBC_VERSION")


def describe_thread_pools(unknown: Unknown) -> list[ThreadPool] | None:
    """The BLAS and OpenMP libraries that this process has loaded."""
    return unknown.attempt("thread_pools", _thread_pools)


def _thread_pools() -> list[ThreadPool]:
    from threadpoolctl import (
        threadpool_info,
    )  # imported late: it looks through ctypes at all loaded libraries

    pools = [
        ThreadPool(
            user_api=str(pool["user_api"]),
            internal_api=str(pool["internal_api"]),
            prefix=pool.get("prefix"),
            version=pool.get("version"),
            architecture=pool.get("architecture"),
            threading_layer=pool.get("threading_layer"),
            threads=pool.get("num_threads"),
            path=pool.get("filepath"),
        )
        for pool in threadpool_info()
    ]
    return sorted(pools, key=lambda pool: (pool.user_api, pool.internal_api, pool.path or ""))


def torch_threads(unknown: Unknown) -> dict[str, int | None]:
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "get_num_threads"):
        return {}
    return {
        "torch": unknown.attempt("threads.torch", torch.get_num_threads),
        "torch_interop": unknown.attempt("threads.torch_interop", torch.get_num_interop_threads),
    }


def describe_locale() -> dict[str, str | None]:
    """The locale in force, which is not always the one that ``LANG`` asks for."""
    return {
        "all": locale.setlocale(locale.LC_ALL, None),
        "preferred_encoding": locale.getpreferredencoding(False),
        "filesystem_encoding": sys.getfilesystemencoding(),
        "stdout_encoding": getattr(sys.stdout, "encoding", None),
    }


def describe_time_zone(
    environ: Mapping[str, str], *, localtime: Path = Path("/etc/localtime")
) -> dict[str, JSON]:
    """The zone's name where the machine tells it, and its offset from UTC now."""
    name = environ.get("TZ")
    if name is None and localtime.is_symlink():
        target = str(localtime.resolve())
        name = target.partition("zoneinfo/")[2] or None
    now = time.localtime()
    return {"name": name, "abbreviation": now.tm_zone, "utc_offset_s": now.tm_gmtoff}


def describe_limits(unknown: Unknown) -> dict[str, list[int | None]]:
    """`ulimit -S` and `-H`, null for unlimited; empty on a platform without them."""
    try:
        import resource  # POSIX only
    except ImportError:
        return {}
    return unknown.attempt("limits", lambda: _limits(resource)) or {}


def _limits(resource: ModuleType) -> dict[str, list[int | None]]:
    result: dict[str, list[int | None]] = {}
    for name in sorted(vars(resource)):
        if name.startswith("RLIMIT_") and name != "RLIMIT_OFILE":  # BSD's name for RLIMIT_NOFILE
            both = resource.getrlimit(getattr(resource, name))
            result[name.removeprefix("RLIMIT_").lower()] = [
                None if limit == resource.RLIM_INFINITY else limit for limit in both
            ]
    return result


def describe_container(environ: Mapping[str, str], *, root: Path = Path("/")) -> dict[str, str | None] | None:
    """The container that the process is in, by the signs that each kind leaves; None without any."""
    image = environ.get("APPTAINER_CONTAINER") or environ.get("SINGULARITY_CONTAINER")
    if image is not None:
        return {"kind": "apptainer" if "APPTAINER_CONTAINER" in environ else "singularity", "image": image}
    if "KUBERNETES_SERVICE_HOST" in environ:
        return {"kind": "kubernetes", "image": None}
    if (root / "run/.containerenv").exists():
        return {"kind": "podman", "image": _podman_image(root / "run/.containerenv")}
    if (root / ".dockerenv").exists():
        return {"kind": "docker", "image": None}
    kind = environ.get("container")  # systemd-nspawn, LXC
    return None if kind is None else {"kind": kind, "image": None}


def _podman_image(file: Path) -> str | None:
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return None
    return next((line[len('image="') : -1] for line in lines if line.startswith('image="')), None)
