"""``data.json`` of the record, a line of the dataset registry, and what the data commands print."""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list)
from __future__ import annotations

from typing import Literal

from repro_hydra.record.schema import SCHEMA, Part, Severity

DatasetKind = Literal["file", "directory"]
EntryKind = Literal["file", "directory", "symlink", "fifo", "socket", "block", "character"]

VERSION_LENGTH = 12
"""A version is called by so many characters of its digest; commands take any unique prefix."""


class DataException(Part, frozen=True, kw_only=True):
    """Something inside a dataset that its digest can't vouch for (a FIFO, a link that leads out of it)."""

    path: str
    reason: str


class DatasetRecord(Part, frozen=True, kw_only=True):
    """One dataset as a run found it."""

    name: str
    path: str
    version: str
    digest: str
    size_bytes: int
    files: int
    kind: DatasetKind = "directory"
    ignore: list[str] = []
    executable: bool = True
    """Whether executable bits are part of the digest."""
    registered: bool = False
    """Whether the project's registry knows this content under this name."""
    system: str | None = None
    """Whose version it is, where another system tracks the data: ``dvc``, ``git-annex``, ``huggingface-hub``,
    ``huggingface-datasets``. `digest` is then that version, but for a folder of git-annex's links."""
    files_read: int = 0
    """How many files were read for it; the others were known by their stat from an earlier reading."""
    exceptions: list[DataException] = []
    exceptions_total: int = 0
    """Their number; the list holds the first ones only."""


class InputRecord(Part, frozen=True, kw_only=True):
    """Something that the job read and that neither the code's snapshot nor a declared dataset holds."""

    path: str
    """As the job named it: relative to where the run was started, where it lies below that. A remote one's URL."""
    digest: str | None = None
    """A file's BLAKE3; a folder's is the tree digest of those of its files that were read. None: see `reason`."""
    size_bytes: int | None = None
    files: int = 1
    kind: Literal["file", "directory", "hub", "run", "remote"] = "file"
    """`hub`: a copy of a repository; `run`: in the directory of another run."""
    repository: str | None = None
    revision: str | None = None
    """Of the repository, or the version that a remote answer bears (its ETag)."""
    reason: str | None = None
    """Why there is no digest."""


class DataCoverage(Part, frozen=True, kw_only=True):
    """What was watched, and what could not be."""

    watched: list[str] = []
    not_watched: list[str] = []


class DataRecord(Part, frozen=True, kw_only=True):
    """``data.json``."""

    schema: str = SCHEMA
    datasets: list[DatasetRecord] = []
    verified: Literal["hashed", "stat", "sample", "full"] = "hashed"
    """How the job itself looked at the datasets: it hashed them, or held them against the sweep's hashes."""
    inputs: list[InputRecord] = []
    """Read without having been declared."""
    inputs_total: int = 0
    """Their number; the list holds the first ones only."""
    coverage: DataCoverage = DataCoverage()


class DataVersion(Part, frozen=True, kw_only=True):
    """One version of a dataset: one line of the registry."""

    schema: str = SCHEMA
    name: str
    version: str
    digest: str
    kind: DatasetKind
    path: str
    """Relative to the project where it lies below it, with forward slashes."""
    size_bytes: int
    files: int
    descriptions: list[str] = []
    source: str | None = None
    """Where the data came from, in its owner's words: an address, a DOI."""
    created_at: str
    updated_at: str
    ignore: list[str] = []
    executable: bool = True


class DataVersionDocument(Part, frozen=True, kw_only=True):
    """What ``data add``, ``data show`` and ``data list`` print of a version."""

    name: str
    version: str
    digest: str
    path: str
    size_bytes: int
    files: int
    description: str | None
    source: str | None
    created_at: str
    kind: DatasetKind
    ignore: list[str]
    executable: bool


class ManifestHeader(Part, frozen=True, kw_only=True):
    """The first line of a dataset's manifest."""

    schema: str = SCHEMA
    digest: str
    kind: DatasetKind
    entries: int


class ManifestLine(Part, frozen=True, kw_only=True, omit_defaults=True):
    """One file, directory or link of a dataset."""

    path: str
    """Relative to the dataset, ``.`` for a dataset that is one file."""
    kind: EntryKind = "file"
    size_bytes: int | None = None
    blake3: str | None = None
    executable: bool = False
    target: str | None = None
    path_hex: str | None = None
    """The exact bytes, where they are not UTF-8; `path` is then only for reading."""
    target_hex: str | None = None


class Renamed(Part, frozen=True, kw_only=True):
    old: str
    new: str


class DataDiff(Part, frozen=True, kw_only=True):
    """What ``data diff`` print."""

    a: str
    b: str
    same: bool
    added: list[str] = []
    removed: list[str] = []
    changed: list[str] = []
    renamed: list[Renamed] = []


class DataFinding(Part, frozen=True, kw_only=True):
    """One thing that ``data verify`` has to say, and what to do about it."""

    id: str
    severity: Severity
    message: str
    remedy: str


class DataVerdict(Part, frozen=True, kw_only=True):
    """What ``data verify`` print."""

    ok: bool
    findings: list[DataFinding] = []
