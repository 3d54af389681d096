"""What native code has open or mapped right now, as Linux tells it: h5py, pyarrow, safetensors raise no event."""

from __future__ import annotations

import os
import re
import stat

_SHARED_LIBRARY = re.compile(r"\.so(?:\.[0-9.]+)?$")


def files_in_use() -> list[str]:
    """The files that this process has mapped (code apart) or open for reading; nothing where there is no /proc."""
    return list(dict.fromkeys([*_mapped(), *open_for_reading()]))


def code_in_use() -> list[str]:
    """The files of compiled code that this process has mapped, whoever asked for them (``LD_PRELOAD``)."""
    _, code = _mappings()
    return sorted(code)


def _mapped() -> list[str]:
    found, code = _mappings()
    return [name for name in found if name not in code and not _SHARED_LIBRARY.search(name)]


def _mappings() -> tuple[list[str], set[str]]:
    """The files that are mapped, and those of them that are mapped to be executed."""
    try:
        with open("/proc/self/maps", "rb") as stream:  # noqa: PTH123
            lines = stream.readlines()
    except OSError:
        return [], set()
    found: dict[str, None] = {}
    code: set[str] = set()
    for line in lines:
        fields = line.rstrip(b"\n").split(maxsplit=5)
        if len(fields) < 6 or not fields[5].startswith(b"/") or fields[5].endswith(b" (deleted)"):
            continue
        name = os.fsdecode(fields[5]).replace("\\012", "\n")
        found[name] = None
        if b"x" in fields[1]:
            code.add(name)
    return list(found), code


def standard_input() -> tuple[str | None, bool]:
    """The file that standard input comes from, where something of it was read; and whether it comes from a pipe."""
    try:
        status = os.fstat(0)
        if stat.S_ISREG(status.st_mode) and os.lseek(0, 0, os.SEEK_CUR) > 0:
            return os.readlink("/proc/self/fd/0"), False  # noqa: PTH115
    except OSError:  # it is closed, or there is no /proc
        return None, False
    return None, stat.S_ISFIFO(status.st_mode) or stat.S_ISSOCK(status.st_mode)


def open_for_reading() -> list[str]:
    """The regular files behind this process's descriptors, but for the three that every program is given."""
    found = []
    try:
        numbers = os.listdir("/proc/self/fd")  # noqa: PTH208
    except OSError:
        return []
    for number in numbers:
        if int(number) <= 2:
            continue
        try:
            name = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
            with open(f"/proc/self/fdinfo/{number}") as stream:  # noqa: PTH123
                flags = re.search(r"^flags:\s*([0-7]+)", stream.read(), re.MULTILINE)
        except OSError:
            continue  # closed meanwhile
        writes = flags is not None and int(flags[1], 8) & (os.O_WRONLY | os.O_RDWR)
        if name.startswith("/") and not name.endswith(" (deleted)") and not writes:
            found.append(name)
    return found
