"""One look at a dataset: walk it, read what is not known from an earlier look, and give it its digest."""

from __future__ import annotations

import os
import posixpath
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from blake3 import blake3

from repro_hydra.data.annex import key_of
from repro_hydra.data.cache import Snapshot, StatCache
from repro_hydra.data.digest import KINDS, Entry, digest_encoded, encode_entry, encode_file
from repro_hydra.data.errors import DataError, DataMisuse, Problem, shown
from repro_hydra.data.ignore import Ignored, compile_ignore, is_left_out
from repro_hydra.data.read import Counter, Progress, read_all, read_unknown
from repro_hydra.data.walk import FORMAT, REGULAR, Row, Stored, reason_of, row_of, walk
from repro_hydra.record.data import DatasetKind, EntryKind

_RACY_WINDOW_NS = 2_000_000_000
_SHOWN_EXCEPTIONS = 100
_NO_CONTENT = "its content is not part of the digest, only its name and kind"
_LEADS_OUT = "the link leads out of the dataset: what it points to is not part of the digest"
_LEADS_TO_IGNORED = "the link leads to what is ignored: that is not part of the digest"
_SPECIAL = {"fifo": "a FIFO", "block": "a block device", "character": "a character device"}


class Options(msgspec.Struct, frozen=True):
    """What counts as part of a dataset."""

    ignore: tuple[str, ...] = ()
    executable: bool = True

    def key(self, root: bytes) -> bytes:
        """What a look at `root` with these options is kept under."""
        return msgspec.msgpack.encode((root, self.ignore, self.executable))


class Scan(msgspec.Struct, frozen=True):
    """What one look at a dataset found."""

    root: Path
    options: Options
    snapshot: Snapshot
    files_read: int

    @property
    def digest(self) -> str:
        return self.snapshot.digest.hex()

    def entries(self) -> Iterator[Entry]:
        """Everything inside, sorted by path; a dataset that is one file holds the path ``.``."""
        for path, mode, size, _, _, _, content in sorted(self.snapshot.rows()):
            kind = kind_of(mode)
            if kind != "file":
                yield Entry(path, kind, 0, content)
            elif self.snapshot.kind == "file":
                yield Entry(b".", kind, size, content)  # its mode is not part of its digest
            else:
                executable = self.options.executable and bool(mode & stat.S_IXUSR)
                yield Entry(path, kind, size, content, executable)


def scan(
    path: Path,
    options: Options | None = None,
    *,
    cache: StatCache | None = None,
    paranoid: bool = False,
    progress: Progress | None = None,
    clock: Callable[[], int] = time.time_ns,
) -> Scan:
    """The digest of the file or directory at `path`; a link there is followed, links inside are not.

    Parameters
    ----------
    cache : StatCache, optional
        Earlier looks; None reads every file and remembers nothing.
    paranoid : bool
        Read every file all the same. The cache is written, not believed.
    clock : callable
        Nanoseconds since the epoch.

    Raises
    ------
    DataMisuse
        Nothing is there, or neither a file nor a directory.
    DataError
        Files that can't be read or that changed meanwhile: all of them, in `problems`.
    """
    options = options or Options()
    root = Path(os.path.realpath(path))
    raw_root = os.fsencode(root)
    key = options.key(raw_root)
    racy_after = clock() - _RACY_WINDOW_NS
    counter = Counter(progress)
    kind, only = what_is_at(path, root)
    ignored = compile_ignore(options.ignore)
    earlier = cache.load(key) if cache is not None and not paranoid else None
    if earlier is not None and earlier.kind != kind:
        earlier = None

    problems: list[Problem] = []
    if only is None and earlier is None:
        stored, problems = read_all(raw_root, ignored, racy_after, counter)
        rows: list[Row] = [row[:6] for row in stored]
        files_read: int | None = None
    else:
        rows, problems = ([only], []) if only is not None else walk(raw_root, ignored)
        if problems:
            raise _cannot_read(path, problems)
        if earlier is not None and earlier.fingerprint == fingerprint_of(rows):
            return Scan(root, options, earlier, 0)
        stored, problems, files_read = read_unknown(raw_root, rows, _believed(earlier), counter)
    if problems:
        raise _cannot_read(path, problems)
    counter.finish()
    snapshot = _snapshot(kind, rows, stored, options, racy_after)
    if cache is not None:
        cache.store(key, snapshot)
    return Scan(root, options, snapshot, snapshot.files if files_read is None else files_read)


def fingerprint_of(rows: Sequence[Row]) -> bytes:
    """Of a whole walk in its own order, which is the same for a directory that nobody wrote to."""
    digest: bytes = blake3(msgspec.msgpack.encode(rows)).digest()
    return digest


def kind_of(mode: int) -> EntryKind:
    return KINDS.get(stat.S_IFMT(mode), "file")


def what_is_at(path: Path, root: Path) -> tuple[DatasetKind, Row | None]:
    """Whether a file or a directory, and the row of a file."""
    try:
        status = os.lstat(root)
    except FileNotFoundError:
        raise DataMisuse(f"{_text(path)}: no such file or directory") from None
    except OSError as error:
        raise DataError(f"{_text(path)}: {reason_of(error)}") from None
    if stat.S_ISDIR(status.st_mode):
        return "directory", None
    if not stat.S_ISREG(status.st_mode):
        raise DataMisuse(f"{_text(path)}: expected a file or a directory, found {_article(status.st_mode)}")
    return "file", row_of(b"", status)


def _believed(earlier: Snapshot | None) -> dict[bytes, Stored]:
    """The earlier rows whose equal stat proves equal content.

    A file that was written within a filesystem clock's tick of the look may have changed after it and keep
    its times: such a row is "racy" and read again, as git does with its index. Two seconds cover every
    filesystem's tick, and a server's clock that is a little off.
    """
    if earlier is None:
        return {}
    limit = earlier.racy_after
    return {row[0]: row for row in earlier.rows() if row[4] < limit and row[3] < limit}


def _snapshot(
    kind: DatasetKind, rows: Sequence[Row], stored: list[Stored], options: Options, racy_after: int
) -> Snapshot:
    """Everything about the dataset that follows from its rows, in one pass over them."""
    kept = msgspec.msgpack.encode(stored)
    encoded: list[bytes] = []
    exceptions: list[tuple[bytes, str]] = []
    size_bytes = files = newest = 0
    execute = stat.S_IXUSR if options.executable else 0
    ignored = compile_ignore(options.ignore)
    stored.sort()
    for path, mode, size, mtime_ns, ctime_ns, _, content in stored:
        if mode & FORMAT == REGULAR:
            size_bytes += size
            files += 1
            encoded.append(encode_file(path, size, content, mode & execute))
        else:
            encoded.append(encode_entry(path, kind_of(mode), 0, content, False))
            if not stat.S_ISDIR(mode):
                reason = _why_not_covered(path, mode, content, ignored)
                exceptions += [(path, reason)] if reason else []
        if ctime_ns > newest:
            newest = ctime_ns
        if mtime_ns > newest:
            newest = mtime_ns
    racy = newest >= racy_after
    return Snapshot(
        racy_after=racy_after,
        fingerprint=None if racy else fingerprint_of(rows),
        digest=stored[0][6] if kind == "file" else digest_encoded(encoded),
        kind=kind,
        size_bytes=size_bytes,
        files=files,
        exceptions=exceptions[:_SHOWN_EXCEPTIONS],
        exceptions_total=len(exceptions),
        stored=msgspec.Raw(kept),
    )


def _why_not_covered(path: bytes, mode: int, content: bytes, ignored: Ignored | None) -> str | None:
    if not stat.S_ISLNK(mode):
        return f"{_article(mode)}: {_NO_CONTENT}"
    if key_of(content) is not None:
        return None  # the link's text names the content by its hash; that it is there is checked elsewhere
    where = posixpath.normpath(posixpath.join(posixpath.dirname(path), content))
    leads_out = where.startswith((b"/", b"../")) or where == b".."
    if leads_out:
        return _LEADS_OUT
    return _LEADS_TO_IGNORED if where != b"." and is_left_out(where, ignored) else None


def _article(mode: int) -> str:
    kind = kind_of(mode)
    return _SPECIAL.get(kind, f"a {kind}")


def _cannot_read(path: Path, problems: Sequence[Problem]) -> DataError:
    count = len(problems)
    return DataError(
        f"{_text(path)}: no digest, since {count} of its entries could not be read as they were listed. "
        "Make them readable and let nobody write to them meanwhile, or leave them out (ignore)",
        sorted(problems),
    )


def _text(path: Path) -> str:
    return shown(os.fsencode(path))
