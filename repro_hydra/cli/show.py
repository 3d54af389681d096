"""``repro-hydra show``: one run's record, on one page."""

from __future__ import annotations

import platform
from pathlib import Path

from repro_hydra.cli.errors import UserError
from repro_hydra.cli.output import default_roots, now, print_json, shorten_home
from repro_hydra.record.find import resolve
from repro_hydra.record.manifest import digest_file
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.schema import JSON, RunRecord
from repro_hydra.record.status import shown_status
from repro_hydra.record.store import RecordError, read, read_raw


def record_of(reference: str) -> dict[str, JSON]:
    """The record's files as they are; null where one is absent."""
    located = resolve(reference, default_roots())
    if located.kind != "run":
        raise UserError(f"{reference}: that is a sweep. Run: repro-hydra aggregate {located.dir}")
    paths = RunPaths(Path(located.dir))
    return {
        "dir": located.dir,
        "run": read_raw(paths.run),
        "config": _read(paths.config),
        "code": _read(paths.code),
        "environment": _read(paths.environment),
        "determinism": _read(paths.determinism),
        "data": _read(paths.data),
        "result": _read_result(located.dir),
    }


def _read(path: Path) -> JSON:
    return read_raw(path) if path.exists() else None


def _read_result(directory: str) -> JSON:
    from repro_hydra.record.find import read_result

    return read_result(directory)


def run(reference: str, *, json: bool) -> None:
    """The command."""
    record = record_of(reference)
    if json:
        print_json(record)
    else:
        for line in page(record):
            print(line)


def page(record: dict[str, JSON]) -> list[str]:
    """The record in lines for people."""
    run_ = record["run"]
    paths = RunPaths(Path(record["dir"]))
    status = _true_status(paths, run_)
    lines = [
        f"run {run_['run_id']}" + (f"  {run_['name']}" if run_.get("name") else ""),
        f"  directory    {shorten_home(record['dir'])}",
        f"  status       {status}, mode {run_['mode']}, upheld: {run_.get('upheld')}",
        f"  started      {run_.get('started_at')}, took {_seconds(run_.get('duration_s'))}",
        f"  command      {' '.join(run_.get('argv') or [])}",
        f"  where        {run_.get('user')}@{run_.get('host')}, Python {run_.get('python')}, in {run_.get('cwd')}",
        f"  seed         {run_.get('seed')} ({_seed_words(run_)})",
    ]
    lines += _sweep_lines(run_) + _error_lines(run_) + _finding_lines(run_)
    lines += _code_lines(record["code"]) + _environment_lines(record["environment"])
    lines += _determinism_lines(record["determinism"]) + _result_lines(record["result"])
    if paths.manifest.exists():
        lines += ["", f"manifest blake3:{digest_file(paths.manifest)}"]
    return lines


def _true_status(paths: RunPaths, run_: JSON) -> str:
    try:
        return shown_status(read(paths.run, RunRecord), host=platform.node(), now=now())
    except RecordError:
        return str(run_.get("status"))


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
    lines = ["", f"{'setting':<36}{'asked':<12}{'at entry':<12}{'at exit':<12}in force  how probed"]
    words = {True: "yes", False: "NO", None: "—"}
    for row in determinism.get("settings", []):
        asked, entry, left = (_word(row.get(key)) for key in ("asked", "entry", "exit"))
        force = words.get(row.get("in_force"), "?")
        lines.append(f"{row['name']:<36}{asked:<12}{entry:<12}{left:<12}{force:<10}{row.get('how')}")
    return lines


def _word(value: JSON) -> str:
    return "—" if value is None else str(value)


def _result_lines(result: JSON) -> list[str]:
    if not result:
        return ["", "result: none"]
    return ["", "result", *(f"  {name:<28} {value}" for name, value in result.items())]
