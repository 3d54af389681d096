"""``code.json`` as typed values: which code a run ran, and where it can be had again.

None means "could not be found out": a repository that could not be asked is not a clean one.
"""

# ruff: noqa: RUF012 (msgspec gives each struct its own copy of an empty list or dict)
from __future__ import annotations

from repro_hydra.record.schema import SCHEMA, Part


class Submodule(Part, frozen=True, kw_only=True):
    path: str
    commit: str
    """Checked out now; the commit that the index names where it is not initialised."""
    dirty: bool | None
    """None: it is not initialised, so there is nothing that could differ."""


class PatchFile(Part, frozen=True, kw_only=True):
    """Where the patch lies, relative to ``code.json``, and its digest."""

    path: str = "code.patch"
    blake3: str
    size_bytes: int


class BundleFile(Part, frozen=True, kw_only=True):
    """What no remote has, as ``git bundle`` writes it, relative to ``code.json``."""

    path: str = "code.bundle"
    blake3: str
    size_bytes: int
    stands_on: list[str] = []
    """Commits that it does not hold; a remote has them."""


class EnvironmentFile(Part, frozen=True, kw_only=True):
    """A ``.env``, whose values are never recorded."""

    path: str
    variables: list[str]
    """Their names."""
    keyed_digest: str | None
    """BLAKE3 of the content, keyed with a key that only the user has; None where there is no place for a key."""


class CodeRecord(Part, frozen=True, kw_only=True):
    """``code.json``. Paths are relative to `repository`, with forward slashes; no UTF-8 stands as escapes."""

    schema: str = SCHEMA
    repository: str | None = None
    """The top of the work tree; None: there is none, or git could not be asked."""
    commit: str | None = None
    """HEAD; None also where there is no commit yet."""
    commit_message: str | None = None
    commit_date: str | None = None
    branch: str | None = None
    """None: detached."""
    remote: str | None = None
    """The URL of the branch's upstream, else of ``origin``, else of the first one; credentials removed."""
    on_remote: bool | None = None
    """Whether a remote-tracking branch contains `commit`."""
    dirty: bool | None = None
    """Whether tracked or untracked (not ignored) files differ from `commit`."""
    dirty_files: list[str] = []
    """Tracked files that differ from `commit`: changed, staged, deleted."""
    untracked_files: list[str] = []
    """Files that git neither tracks nor ignores, but for those of runs, virtual environments and caches."""
    submodules: list[Submodule] = []
    tree: str | None = None
    """The tree of what was captured; that of `commit` where nothing differs."""
    snapshot: str | None = None
    """A commit with `tree`: `commit` itself where nothing differs."""
    snapshot_ref: str | None = None
    """What keeps `snapshot`; None where a remote has it, or where none was made."""
    environment_files: list[EnvironmentFile] = []
    """Files such as ``.env`` beside the code, ignored or not; they are never captured."""
    not_captured: dict[str, str] = {}
    """Path to reason."""
    patch: PatchFile | None = None
    """What makes `tree` from `commit` (from nothing where there is none); None where nothing differs."""
    bundle: BundleFile | None = None
    """`snapshot` and what it stands on; None where a remote has `commit`."""
    imported_by: list[str] = []
    """For another repository: what leads there (``PYTHONPATH``, an editable install, a submodule's path)."""
    import_folders: list[str] = []
    """For another repository: the folders on the search path, relative to `repository`."""
    others: list[CodeRecord] = []
    """The other repositories that code of the run may be imported from: submodules, editable installs."""
