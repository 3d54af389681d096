"""A checkpoint's file: written in one step, its digest looked at before anything in it is.

Four parts: a line that tells what it is, a line with the BLAKE3 of all that follows, a line of JSON (the header),
and what ``torch.save`` writes. The first three are read without torch.
"""

from __future__ import annotations

import io
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import blake3
import msgspec

from repro_hydra.checkpoint.errors import CheckpointError, OtherVersion

FORMAT = 1
MAGIC = b"repro-hydra checkpoint\n"
TEMPORARY = ".tmp"
_DIGEST_BYTES = 64
_LONGEST_HEADER = 1 << 20
_CHUNK_BYTES = 1 << 20
_SAFE_TORCH = (2, 10)  # bypasses of weights_only were mended in 2.6.0 and 2.10.0


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What can be known of a checkpoint without torch."""

    format: int = FORMAT
    name: str = ""
    """The loop that it is of; empty for one made by `save_checkpoint`."""
    step: int | None = None
    epoch: int | None = None
    saved_at: str = ""
    torch: str = ""
    parts: dict[str, Any] = {}
    """What the run adds (how much of its metrics was written)."""


def write_checkpoint(path: Path, header: Header, payload: Any) -> None:
    """Write `payload` so that `path` holds it whole or is left as it was, also through a power cut.

    Raises
    ------
    OSError
        As the file system says.
    """
    import torch

    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=TEMPORARY, dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(MAGIC + b"0" * _DIGEST_BYTES + b"\n")
            hashing = _Hashing(stream)
            header = msgspec.structs.replace(header, torch=str(torch.__version__))
            hashing.write(msgspec.json.encode(header) + b"\n")
            _save(payload, hashing)
            stream.seek(len(MAGIC))
            stream.write(hashing.digest())
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)  # noqa: PTH105 (the handle's path is a str)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _save(payload: Any, hashing: _Hashing) -> None:
    """``torch.save``, which tells of a full disk as a RuntimeError of its own ("unexpected pos 768 vs 662")."""
    import torch

    try:
        torch.save(payload, hashing)  # type: ignore[arg-type]
    except Exception:
        if hashing.failed is not None:
            raise hashing.failed from None
        raise


def read_header(path: Path) -> Header:
    """The header of a checkpoint whose digest is right.

    Raises
    ------
    CheckpointError
        Nothing is there, or it is no checkpoint, or not whole.
    OtherVersion
        It is of another format.
    """
    with _opened(path) as stream:
        header, _ = _verified(path, stream)
    return header


def read_checkpoint(path: Path, map_location: Any = "cpu") -> tuple[Header, Any]:
    """Header and payload; nothing is unpickled before the digest was found right, and then nothing but plain data.

    Raises
    ------
    CheckpointError
        As `read_header`, or where the payload holds something else.
    """
    import torch

    if torch_version(torch.__version__) < _SAFE_TORCH:
        warnings.warn(
            f"torch {torch.__version__} has known ways around weights_only=True; load no checkpoint of unknown origin "
            "with it. Run: pip install 'torch>=2.10'",
            stacklevel=2,
        )
    with _opened(path) as stream:
        header, begin = _verified(path, stream)
        try:
            payload = torch.load(
                io.BufferedReader(_From(stream, begin)),
                map_location=map_location,
                weights_only=True,
            )
        except Exception as error:
            # Whatever the unpickler meets in a file that somebody else wrote: it was stopped, and is told.
            raise CheckpointError(
                f"{path}: expected plain data, found what torch refuses to load ({_first_line(error)})"
            ) from error
    return header, payload


def torch_version(text: str) -> tuple[int, int]:
    """Major and minor."""
    major, minor = text.split(".")[:2]
    return int(major), int("".join(c for c in minor if c.isdigit()) or 0)


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise CheckpointError(f"{path}: expected a checkpoint, found none ({error.strerror})") from None


def _verified(path: Path, stream: IO[bytes]) -> tuple[Header, int]:
    """The header, and where the payload begins."""
    if stream.read(len(MAGIC)) != MAGIC:
        raise CheckpointError(
            f"{path}: expected a checkpoint of repro_hydra, found another file. "
            "What torch.save wrote by itself is read by torch.load(…, weights_only=True)"
        )
    told = stream.read(_DIGEST_BYTES + 1)
    begin = stream.tell()
    line = stream.readline(_LONGEST_HEADER)
    payload_begins = stream.tell()
    hasher = blake3.blake3(line)
    while chunk := stream.read(_CHUNK_BYTES):
        hasher.update(chunk)
    found = hasher.hexdigest().encode()
    if told != found + b"\n":
        raise CheckpointError(
            f"{path}: expected the content that was written (blake3 {told[:12].decode('ascii', 'replace')}…), "
            f"found {stream.tell() - begin} bytes with another digest ({found[:12].decode()}…): "
            "it is truncated or damaged"
        )
    return _header(path, line), payload_begins


def _header(path: Path, line: bytes) -> Header:
    try:
        number = msgspec.json.decode(line, type=dict[str, Any]).get("format")
        if number != FORMAT:
            raise OtherVersion(
                f"{path}: expected a checkpoint of format {FORMAT}, found format {number!r}. "
                "Use the version of repro-hydra that wrote it"
            )
        return msgspec.json.decode(line, type=Header)
    except msgspec.MsgspecError as error:
        raise CheckpointError(f"{path}: its header cannot be read ({error})") from None


def _sync_directory(directory: Path) -> None:
    """Make the new name itself lasting (fsync(2)); where no directory can be synced, the file is there all the same."""
    try:
        handle = os.open(directory, os.O_RDONLY)
    except OSError:  # Windows
        return
    try:
        os.fsync(handle)
    except OSError:  # some network file systems
        return
    finally:
        os.close(handle)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


class _Hashing(io.RawIOBase):
    """Passes on what is written, and keeps its digest.

    Attributes
    ----------
    failed : OSError or None
        Why the first write that failed did.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hasher = blake3.blake3()
        self.failed: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._hasher.update(data)
        try:
            return self._stream.write(data)
        except OSError as error:
            self.failed = self.failed or error
            raise

    def digest(self) -> bytes:
        return self._hasher.hexdigest().encode()


class _From(io.RawIOBase):
    """A file from byte `begin` on: where torch's zip archive starts."""

    def __init__(self, stream: IO[bytes], begin: int) -> None:
        self._stream = stream
        self._begin = begin
        stream.seek(begin)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        if whence == io.SEEK_SET:
            offset += self._begin
        return self._stream.seek(offset, whence) - self._begin

    def tell(self) -> int:
        return self._stream.tell() - self._begin


Say = Callable[[str], None]
