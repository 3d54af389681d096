"""``repro-hydra show``: one run's record, on one page."""

from __future__ import annotations

import platform
import shlex
import shutil
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import default_roots, now, print_json, shorten_home
from repro_hydra.record.find import read_result, resolve
from repro_hydra.record.manifest import digest_file, read_manifest
from repro_hydra.record.paths import RECORD_DIR, RunPaths
from repro_hydra.record.schema import JSON, RunRecord
from repro_hydra.record.status import shown_status
from repro_hydra.record.store import RecordError, read, read_raw
from repro_hydra.sweep.table import Column, clean, lay_out

_MOST_FILES = 20
_WIDEST = 40


def record_of(reference: str) -> tuple[dict[str, JSON], list[str]]:
    """The record's files as they are, null where one is absent; and what of them cannot be read.

    Raises
    ------
    RecordError
        Where ``run.json`` itself cannot be read as one.
    """
    located = resolve(reference, default_roots())
    if located.kind != "run":
        raise UserError(f"{reference}: that is a sweep. Run: repro-hydra aggregate {located.dir}")
    paths = RunPaths(Path(located.dir))
    problems: list[str] = []

    def try_reading(path: Path, reader: Callable[[], JSON]) -> JSON:
        try:
            return reader() if path.exists() else None
        except RecordError as error:
            problems.append(str(error))
            return None

    run = read_raw(paths.run)
    read(paths.run, RunRecord)
    record = {"dir": located.dir, "run": run}
    for name in ("config", "code", "environment", "determinism", "data"):
        path = getattr(paths, name)
        record[name] = try_reading(path, partial(read_raw, path))
    record["result"] = try_reading(paths.result, lambda: read_result(located.dir))
    return record, problems


def run(reference: str, *, json: bool) -> None:
    """The command."""
    record, problems = record_of(reference)
    if json:
        print_json(record)
    else:
        sys.stdout.write("".join(f"{clean(line)}\n" for line in page(record)))
        sys.stdout.flush()
    if problems:
        raise UserError("\n".join(problems), NO)


def page(record: dict[str, JSON]) -> list[str]:
    """The record in lines for people."""
    run_ = record["run"]
    paths = RunPaths(Path(record["dir"]))
    status = shown_status(msgspec.convert(run_, RunRecord), host=platform.node(), now=now())
    lines = [
        f"run {run_['run_id']}" + (f"  {run_['name']}" if run_.get("name") else ""),
        f"  directory    {shorten_home(record['dir'])}",
        f"  status       {status}, mode {run_['mode']}, upheld: {run_.get('upheld')}",
        f"  started      {run_.get('started_at')}, took {_seconds(run_.get('duration_s'))}",
        f"  command      {shlex.join(run_.get('argv') or [])}",
        f"  where        {run_.get('user')}@{run_.get('host')}, Python {run_.get('python')}, in {run_.get('cwd')}",
        f"  seed         {run_.get('seed')} ({_seed_words(run_)})",
    ]
    if run_.get("tags"):
        lines.append(f"  tags         {', '.join(run_['tags'])}")
    if run_.get("note"):
        lines.append(f"  note         {run_['note']}")
    lines += _sweep_lines(run_) + _error_lines(run_) + _finding_lines(run_)
    # The other files have no schema that was checked: a foreign one costs its part of the page, not the page.
    for name, part in _PARTS.items():
        try:
            lines += part(record[name])
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            lines += ["", f"{name}: not as this version of repro-hydra knows it; see the file, or --json"]
    if paths.manifest.exists():
        lines += ["", *_manifest_lines(paths)]
    return lines


def _manifest_lines(paths: RunPaths) -> list[str]:
    digest = f"manifest blake3:{digest_file(paths.manifest)}"
    try:
        entries = read_manifest(paths).files
    except RecordError as error:
        return [digest, f"  unreadable   {error}"]
    own = [entry for entry in entries if not entry.path.startswith(f"{RECORD_DIR}/")]
    lines = [f"{digest}, {len(entries)} files; beside the record:"]
    lines += [f"  {entry.blake3[:16]}  {entry.size_bytes:>12}  {entry.path}" for entry in own[:_MOST_FILES]]
    more = len(own) - _MOST_FILES
    return [*lines, f"  and {more} more"] if more > 0 else lines


def _seconds(value: JSON) -> str:
    return f"{value:.1f} s" if isinstance(value, (int, float)) else "—"


def _seed_words(run_: JSON) -> str:
    if not run_.get("seed_set"):
        return "configured, not set"
    told = ", ".join(f"{name} {value}" for name, value in run_.get("seeds", {}).items() if value is not None)
    return f"set: {told}"


def _sweep_lines(run_: JSON) -> list[str]:
    sweep = run_.get("sweep")
    if not sweep:
        return []
    return [f"  sweep        job {sweep['job_num']} of {sweep['dir']}, launcher {run_.get('launcher')}"]


def _error_lines(run_: JSON) -> list[str]:
    error = run_.get("error")
    return [f"  error        {error['type']}: {error['message']}"] if error else []


def _finding_lines(run_: JSON) -> list[str]:
    lines = []
    for finding in run_.get("findings", []):
        waived = f" (waived: {finding['waived']})" if finding.get("waived") else ""
        place = f" at {finding['file']}:{finding['line']}" if finding.get("file") else ""
        lines.append(
            f"  finding      {finding['severity']} [{finding['id']}]{waived}{place} {finding['message']}"
        )
    return lines


def _code_lines(code: JSON) -> list[str]:
    if not code:
        return []
    state = {True: "dirty, captured in code.patch" if code.get("patch") else "dirty", False: "clean"}
    dirty = state.get(code.get("dirty"), "unknown whether dirty")
    lines = ["", f"code  commit {code.get('commit')} on {code.get('branch')} ({dirty})"]
    if code.get("snapshot_ref"):
        lines.append(f"  snapshot     {code['snapshot']} at {code['snapshot_ref']}")
    lines += [f"  not captured {path}: {why}" for path, why in (code.get("not_captured") or {}).items()]
    return lines


def _environment_lines(environment: JSON) -> list[str]:
    if not environment:
        return []
    cpu, system = environment.get("cpu") or {}, environment.get("platform") or {}
    gpus = ", ".join(str(gpu.get("name")) for gpu in environment.get("gpus") or []) or "none"
    packages = environment.get("distributions")
    where = environment.get("distributions_in")
    count = f"{len(packages)} packages" if packages is not None else f"packages in {where}"
    return [
        "",
        f"environment  {system.get('system')} {system.get('release')}, {cpu.get('model')} "
        f"({cpu.get('capability') or 'instruction set not asked'}), GPUs: {gpus}, {count}",
    ]


def _determinism_lines(determinism: JSON) -> list[str]:
    if not determinism:
        return []
    words = {True: "yes", False: "NO", None: "—"}
    settings = determinism.get("settings", [])
    rows, nothing_found = [], []
    for row in settings:
        asked, found = row.get("asked"), _over_the_run(row)
        if asked is None and not found:
            nothing_found.append(str(row["name"]))
            continue
        told = words.get(row.get("in_force"), "?")
        rows.append([str(row["name"]), _word(asked), found or "—", told, str(row.get("how") or "")])
    titles = ("setting", "asked", "found", "in force", "how probed")
    columns = [Column(title, drop=title == "how probed") for title in titles]
    table = lay_out(columns, rows, width=_terminal_width()).splitlines() if rows else []
    if nothing_found:
        table += textwrap.wrap(
            f"not set, or its library not imported: {', '.join(nothing_found)}", 100, subsequent_indent="  "
        )
    return ["", *table] if table else []


def _over_the_run(row: JSON) -> str:
    """What was found at entry, at the first optimizer step and at exit: once, where it stayed the same."""
    probed = [row[key] for key in ("entry", "first_step", "exit") if row.get(key) is not None]
    changes = [value for n, value in enumerate(probed) if n == 0 or value != probed[n - 1]]
    texts = (str(value) for value in changes)
    return " → ".join(text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…" for text in texts)


def _terminal_width() -> int | None:
    """None where the page goes to a file or a pipe, which get all of it."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _word(value: JSON) -> str:
    return "—" if value is None else str(value)


def _result_lines(result: JSON) -> list[str]:
    if not result:
        return ["", "result: none"]
    return ["", "result", *(f"  {name:<28} {value}" for name, value in result.items())]


_PARTS: dict[str, Callable[[JSON], list[str]]] = {
    "code": _code_lines,
    "environment": _environment_lines,
    "determinism": _determinism_lines,
    "result": _result_lines,
}
