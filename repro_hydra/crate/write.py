"""An export, from the records of runs to one folder or file."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from repro_hydra import __version__
from repro_hydra.code.facts import Location
from repro_hydra.crate.beside import Beside
from repro_hydra.crate.code import ExportedTree
from repro_hydra.crate.identity import identity_of
from repro_hydra.crate.metadata import write_metadata
from repro_hydra.crate.records import Copied, copy_run, copy_shared
from repro_hydra.crate.review import review
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.export import EXPORT_NAME, ExportedCode, ExportRecord
from repro_hydra.record.find import Located
from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.schema import SweepRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.times import utc_now
from repro_hydra.reproduce.code_source import CodeMissing, repositories
from repro_hydra.reproduce.original import Original, read_original
from repro_hydra.reproduce.siblings import job_directories

RUN, SWEEP = "run", "sweep"
_GONE_FROM_CODE = "history, commits, branches and authors of the code"
_GONE_FROM_RECORDS = "the records' fields user, host, pid and slurm, and the GPUs' serial numbers"
_README = """\
An export of repro-hydra {version}: {what}.

To run it again, with this folder (or file) and the data alone:

    pip install 'repro-hydra=={version}'
    repro-hydra reproduce THIS_FOLDER

Data is looked for where the runs had it, relative to the folder that you start this in; data/datasets.json names it,
with digests. environment/ has what the runs ran on. review.json answers a reviewer's questions: whether the code is
public, what it cost, how many runs of each configuration were made in all, and which seeds were planned.
"""


class NotExported(Exception):
    """Nothing was written; the text says what stands in the way."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the user asked for."""

    located: Located
    target: Path
    """A folder that does not exist, or a file that ends in ``.zip``."""
    anonymous: bool = False
    despite_secrets: bool = False
    exclude: tuple[str, ...] = ()
    places: tuple[Path, ...] = ()
    """Where the project's runs lie."""
    here: Path = field(default_factory=Path.cwd)
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


def write_export(wanted: Wanted) -> ExportRecord:
    """Write the export, whole or not at all.

    Raises
    ------
    NotExported
        The code cannot be had, something looks like a secret, the target is taken, or the records cannot be read.
    """
    target = wanted.target.absolute()
    if os.path.lexists(target):
        raise NotExported(f"{target}: expected a name that is free, found something there")
    as_file = target.suffix == ".zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as scratch:
        folder = Path(scratch) / "export"
        folder.mkdir()
        record = _Export(wanted, folder).write()
        if as_file:
            packed = Path(scratch) / "export.zip"
            _pack(folder, packed)
            packed.replace(target)
        else:
            folder.replace(target)
    return record


class _Export:
    def __init__(self, wanted: Wanted, folder: Path) -> None:
        self.wanted = wanted
        self.folder = folder
        self.copied = Copied()
        try:
            self.runs, self.root = _runs_of(wanted.located)
        except RecordError as error:
            raise NotExported(str(error)) from None
        self.here = self._repositories()
        tops = [location.top for location in self.here]
        self.identity = identity_of(self.runs, tops, wanted.environ) if wanted.anonymous else None
        self.beside = Beside(folder, self.identity)
        self.still_there: list[str] = []

    def write(self) -> ExportRecord:
        names = self._copy_records()
        code = self._write_code()
        if self.copied.secrets and not self.wanted.despite_secrets:
            raise NotExported(
                "nothing was written, for something in it looks like a secret:\n  "
                + "\n  ".join(self.copied.secrets)
                + "\nLeave such files out with --exclude PATTERN; if they are no secrets: --yes"
            )
        record = ExportRecord(
            made_at=utc_now(),
            repro_hydra=__version__,
            anonymous=self.wanted.anonymous,
            kind=self.wanted.located.kind,
            root=names[0] if self.wanted.located.kind == RUN else SWEEP,
            runs=self.copied.runs,
            code=code,
            still_there=self.still_there,
        )
        self.beside.put(EXPORT_NAME, record)  # the runs are read again with the export's code
        exported = [read_original(self.folder / name) for name in names]
        described = {**self.beside.write_environment(exported), **self.beside.write_data(exported, self.here)}
        self.beside.put("review.json", review(self.runs, self.wanted.places))
        workflow = self.beside.write_workflow(exported[0], self.wanted.environ)
        what = f"{len(exported)} run(s)" if self.root == SWEEP else f"run {exported[0].run.run_id}"
        (self.folder / "README.md").write_text(_README.format(version=__version__, what=what))
        record = msgspec.structs.replace(record, removed=self._removed())
        self.beside.put(EXPORT_NAME, record)
        title = f"{exported[0].run.name or exported[0].run.task or 'Runs'}: {what}"
        described |= {
            EXPORT_NAME: "What this export holds, and what it does not.",
            "review.json": "What a reviewer asks.",
            **{item.bundle: "The code of the runs: a git bundle." for item in code},
        }
        write_metadata(self.folder, record, exported, workflow=workflow, title=title, described=described)
        self._check_nobody_is_named()
        return record

    # ------------------------------------------------------------------ the parts

    def _repositories(self) -> list[Location]:
        folders = [self.wanted.here, *(run.dir for run in self.runs)]
        folders += [
            Path(code.repository)
            for run in self.runs
            if run.code is not None
            for code in (run.code, *run.code.others)
            if code.repository
        ]
        return repositories(list(dict.fromkeys(folders)), self.wanted.environ)

    def _copy_records(self) -> list[str]:
        """The directories of the runs in the export."""
        names = []
        sweep_dir = self.runs[0].sweep_dir
        if self.root == SWEEP:
            assert sweep_dir is not None
            jobs = [os.path.relpath(run.dir, sweep_dir) for run in self.runs]
            if self.identity is not None:
                jobs = [self.identity.text(job) for job in jobs]
            chosen = jobs if self.wanted.located.kind == RUN else None
            (self.folder / SWEEP / ".repro").mkdir(parents=True)
            copy_shared(sweep_dir, self.folder / SWEEP, chosen, self.identity, self.copied)
            names = [f"{SWEEP}/{job}" for job in jobs]
        else:
            names = [RUN]
        for run, name in zip(self.runs, names, strict=True):
            copy_run(
                run.dir,
                self.folder / name,
                name,
                identity=self.identity,
                exclude=self.wanted.exclude,
                into=self.copied,
            )
        return names

    def _write_code(self) -> list[ExportedCode]:
        written: dict[str, ExportedCode] = {}
        for run in self.runs:
            if run.code is None or run.code.tree is None:
                raise NotExported(f"{run.dir}: code: the record holds none, so nobody could run it again")
            for code in (run.code, *run.code.others):
                if code.tree is not None and code.tree not in written:
                    written[code.tree] = self._write_tree(code, run)
        return list(written.values())

    def _write_tree(self, code: CodeRecord, run: Original) -> ExportedCode:
        try:
            exported = ExportedTree(code, run.code_files, self.here, self.wanted.environ)
        except CodeMissing as error:
            raise NotExported(str(error)) from None
        try:
            self.copied.secrets += exported.secrets()
            if self.identity is not None:
                for path, data in exported.files():
                    for line, kind in self.identity.lines_of(data)[:5]:
                        self.still_there.append(f"code: {path}:{line}: the {kind}")
            return exported.bundle(self.folder)
        except CodeMissing as error:
            raise NotExported(str(error)) from None
        finally:
            exported.close()

    # ------------------------------------------------------------------ anonymity

    def _removed(self) -> list[str]:
        if self.identity is None:
            return []
        counted = [
            f"{kind} ({count} times)" for kind, count in sorted(self.identity.removed.items()) if count
        ]
        files = sorted({name for run in self.copied.runs for name in run.left_out})
        whole = [f"the file {name}" for name in files]
        return [*counted, _GONE_FROM_CODE, _GONE_FROM_RECORDS, *whole]

    def _check_nobody_is_named(self) -> None:
        """The last look: a file of the export that still names somebody, but for the code, is a mistake of ours."""
        if self.identity is None:
            return
        for path in sorted(self.folder.rglob("*")):
            name = path.relative_to(self.folder).as_posix()
            if self.identity.stands_in(name.encode()):
                raise NotExported("the name of a file would still tell who made it. Use --exclude")
            if path.is_file() and not name.startswith("code/") and path.stat().st_size < (64 << 20):
                found = self.identity.stands_in(path.read_bytes())
                if found:
                    raise NotExported(f"{name}: it would still hold the {', '.join(found)}. Use --exclude")


def _runs_of(located: Located) -> tuple[list[Original], str]:
    """The runs to export, and whether they lie below a sweep."""
    folder = Path(located.dir)
    if located.kind == "run":
        original = read_original(folder)
        return [original], SWEEP if original.sweep_dir is not None else RUN
    sweep = read(SweepPaths(folder).sweep, SweepRecord)
    runs = [read_original(job) for _, job in job_directories(folder, sweep.jobs)]
    if not runs:
        raise RecordError(f"{folder}: none of its {len(sweep.jobs)} jobs left a record")
    return runs, SWEEP


def _pack(folder: Path, target: Path) -> None:
    """A zip of the folder; equal contents give equal names and order."""
    with zipfile.ZipFile(target, "x", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
