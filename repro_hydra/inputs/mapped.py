"""What native code has open or mapped right now, as Linux tells it: h5py, pyarrow, safetensors raise no event."""

from __future__ import annotations

import os
import re

_SHARED_LIBRARY = re.compile(r"\.so(?:\.[0-9.]+)?$")


def files_in_use() -> list[str]:
    """The files that this process has mapped (code apart) or open for reading; nothing where there is no /proc."""
    return list(dict.fromkeys([*_mapped(), *open_for_reading()]))


def _mapped() -> list[str]:
    try:
        with open("/proc/self/maps", "rb") as stream:  # noqa: PTH123
            lines = stream.readlines()
    except OSError:
        return []
    found: dict[str, None] = {}
    code = set()
    for line in lines:
        fields = line.rstrip(b"\n").split(maxsplit=5)
        if len(fields) < 6 or not fields[5].startswith(b"/") or fields[5].endswith(b" (deleted)"):
            continue
        name = os.fsdecode(fields[5]).replace("\\012", "\n")
        found[name] = None
        if b"x" in fields[1]:
            code.add(name)
    return [name for name in found if name not in code and not _SHARED_LIBRARY.search(name)]


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
