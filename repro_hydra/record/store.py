"""Reading and writing the record's files: atomic, valid JSON at every instant, unknown fields kept."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec

from repro_hydra.record.plain_file import read_plain
from repro_hydra.record.schema import JSON, SCHEMA_MAJOR

T = TypeVar("T", bound=msgspec.Struct)


class RecordError(ValueError):
    """A file of a record that cannot be read as one; the message says where, what was expected and found."""


def write_bytes(path: Path, data: bytes, *, durable: bool = False) -> None:
    """Replace `path` by `data` in one step: a reader sees the old file or the new one, never half of it.

    Parameters
    ----------
    durable : bool
        Wait until the disk has it, so that it also survives a power cut.
    """
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(temporary, 0o666 & ~current_umask())  # noqa: PTH101 (the handle's path is a str)
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def cut_to(path: Path, size_bytes: int) -> None:
    """Take away what of a file of lines was written after it had `size_bytes`: it will be written once more.

    One that was not begun then need not be there.

    Raises
    ------
    OSError
        Also where the file is shorter than it was then.
    """
    if size_bytes == 0 and not path.exists():
        return
    data = path.read_bytes()
    if len(data) < size_bytes:
        raise OSError(f"{path}: expected at least {size_bytes} bytes, found {len(data)}: lines are missing")
    if len(data) > size_bytes:
        write_bytes(path, data[:size_bytes], durable=True)


def take_back(handle: int, written: int, path: Path) -> NoReturn:
    """After a write that a full disk cut short: what is there of a line would spoil the next one.

    Raises
    ------
    OSError
    """
    os.ftruncate(handle, os.fstat(handle).st_size - written)
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))


def current_umask() -> int:
    """The process's umask; read from /proc where there is one, since asking the system call sets it."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except OSError:
        pass
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def encode(value: object) -> bytes:
    """Indented JSON with a final newline. NaN and infinities must be strings by now (`values.to_json`).

    Raises
    ------
    UnicodeEncodeError
        For a text that UTF-8 cannot say.
    """
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return [_encodable(item) for item in value] if isinstance(value, list) else value


def encodable(text: str) -> str:
    r"""`text`, with escapes for what UTF-8 cannot say: bytes of a name that is none, and lone surrogates.

    Examples
    --------
    >>> encodable(os.fsdecode(b"weights-\xff.npz"))
    'weights-\\xff.npz'
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_json(path: Path, value: object, *, durable: bool = False) -> None:
    """Write `value`; names of files and folders that are no UTF-8 stand as escapes, which any reader of JSON takes."""
    try:
        data = encode(value)
    except UnicodeEncodeError:
        data = encode(_encodable(msgspec.to_builtins(value)))
    write_bytes(path, data, durable=durable)


def read_raw(path: Path) -> dict[str, JSON]:
    """The file's JSON object as it is, its schema's major version checked.

    Raises
    ------
    RecordError
        Missing, unreadable, truncated, no JSON object, or of a version that this package does not know.
    """
    try:
        data = read_plain(path)
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from None
    try:
        raw = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise RecordError(f"{path}: expected JSON, found {len(data)} bytes that are not ({error})") from None
    except RecursionError:
        raise RecordError(f"{path}: nested too deeply for a record") from None
    if not isinstance(raw, dict):
        raise RecordError(f"{path}: expected a JSON object, found {type(raw).__name__}")
    _check_schema(path, raw.get("schema"))
    return raw


def _check_schema(path: Path, schema: object) -> None:
    major = schema.split(".")[0] if isinstance(schema, str) else None
    if major is None or not major.isdigit():
        raise RecordError(f"{path}: schema: expected a version such as '1.0', found {schema!r}")
    if int(major) != SCHEMA_MAJOR:
        raise RecordError(
            f"{path}: schema: this version of repro-hydra reads {SCHEMA_MAJOR}.x, found {schema!r}. "
            "Run: pip install --upgrade repro-hydra"
        )


def read(path: Path, kind: type[T]) -> T:
    """The file as a typed value. Fields that `kind` does not know are left alone in the file.

    Raises
    ------
    RecordError
        As `read_raw`, or a field of the wrong type, named with its path into the document.
    """
    raw = read_raw(path)
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise RecordError(f"{path}: {error}") from None


def update(path: Path, changes: Mapping[str, JSON]) -> None:
    """Write `changes` over the file's top-level fields; every other field stays as it stands there."""
    raw = read_raw(path)
    raw.update(msgspec.to_builtins(dict(changes)))
    write_json(path, raw, durable=True)
