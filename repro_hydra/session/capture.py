"""Writes the files of a record that describe what went into a run."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from repro_hydra.checkpoint.preemption import SIGNALS
from repro_hydra.config import Mode, ReproConf
from repro_hydra.determinism import initial_environment
from repro_hydra.environment import capture_environment, list_distributions
from repro_hydra.environment.variables import chosen_variables, is_chosen, only_tells_where
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.paths import RunPaths, SweepPaths
from repro_hydra.record.redact import hide, known_secrets, redact, redact_argv, secrets_in
from repro_hydra.record.schema import JSON, ConfigRecord, Finding, ProcessInfo, RunRecord
from repro_hydra.record.store import RecordError, read, write_json
from repro_hydra.record.values import to_json
from repro_hydra.session.code import KeptCode, lying_in
from repro_hydra.session.environment_lock import held_against_lock, lock_record
from repro_hydra.session.plan import Job, Plan


def write_config(paths: RunPaths, plan: Plan, job: Job) -> list[Finding]:
    """``config.json``: what the task really gets, resolved, and how it was asked for; what can't be told of it."""
    record = msgspec.structs.replace(config_record(job), repro=_redacted(options_record(plan.options)))
    write_json(paths.config, record)
    if plan.mode is Mode.record or record.resolved == record.unresolved:
        return []  # nothing is asked of the user's resolvers that would not be asked anyway
    again = _redacted(to_json(containers(job.config)[1]))
    return [_not_fixed(key) for key in _differing_keys(record.resolved, again)]


def _differing_keys(one: JSON, other: JSON, key: str = "") -> Iterator[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        for name in one:
            yield from _differing_keys(one[name], other.get(name), f"{key}.{name}" if key else str(name))
    elif one != other:
        yield key


def _not_fixed(key: str) -> Finding:
    return Finding(
        id=f"config-not-fixed:{key}",
        severity="may_change_bits",
        message=(
            f"config: {key}: a resolver gives it another value each time it is asked, so that config.json need not "
            "have what the task got. Register it with OmegaConf.register_new_resolver(…, use_cache=True)"
        ),
    )


def config_record(job: Job) -> ConfigRecord:
    """The job's own part of ``config.json``."""
    unresolved, resolved = containers(job.config)
    return ConfigRecord(
        resolved=_redacted(to_json(resolved)),
        unresolved=_redacted(to_json(unresolved)),
        overrides=redacted_argv(job.overrides),
        hydra_overrides=redacted_argv(job.hydra_overrides),
        config_name=job.config_name,
        config_path=job.config_dirs[0] if job.config_dirs else None,
        config_dirs=job.config_dirs,
    )


def containers(config: Any) -> tuple[Any, Any]:
    """The config as plain containers, unresolved and resolved.

    A value that cannot be resolved (a missing variable that the task may never ask for) stays as it was written.
    """
    if not isinstance(config, DictConfig):
        plain = dict(config) if isinstance(config, Mapping) else config
        return plain, plain
    unresolved = OmegaConf.to_container(config, resolve=False, enum_to_str=True)
    try:
        return unresolved, OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    except OmegaConfBaseException:
        return unresolved, {str(key): _resolve(config, key) for key in config}


def _resolve(config: DictConfig, key: Any) -> Any:
    try:
        value = config[key]
    except OmegaConfBaseException:
        node = config._get_node(key)
        return None if node is None else getattr(node, "_value", lambda: None)()
    return containers(value)[1] if OmegaConf.is_config(value) else value


def options_record(options: ReproConf) -> dict[str, JSON]:
    """The options in force, without the callback's class name."""
    plain = to_json(asdict(options))
    for wiring in ("_target_", "run_mode"):
        plain.pop(wiring, None)
    assert isinstance(plain, dict)
    return plain


def write_code(paths: RunPaths, plan: Plan) -> None:
    """``code.json``, and the patches and bundles; a job of a sweep points at the sweep's."""
    code = plan.code
    if code is None:
        return
    if plan.sweep is None:
        KeptCode(code, plan.code_files).write_files(paths.record)
    else:
        shared = SweepPaths(Path(plan.sweep.sweep_dir)).record
        code = lying_in(code, Path(os.path.relpath(shared, paths.record)).as_posix())
    write_json(paths.code, code)


def write_environment(
    paths: RunPaths, plan: Plan, job: Job, captured: EnvironmentRecord | None
) -> list[Finding]:
    """``environment.json``, the exports asked for, and how the environment differs from the project's lock.

    The distributions are referred to where the sweep's list is the same.
    """
    record = captured or environment_of_this_process(plan.options)
    if captured is not None:  # by another process on this machine: the variables are this job's own
        variables = chosen_variables(os.environ, plan.options.environment.variables)
        record = msgspec.structs.replace(record, variables=variables)
    if plan.frozen is not None and "PYTHONPATH" in record.variables:
        search_path = plan.frozen.absolute(record.variables["PYTHONPATH"])
        record = msgspec.structs.replace(record, variables={**record.variables, "PYTHONPATH": search_path})
    record = msgspec.structs.replace(record, lock=lock_record(plan))
    whole = record
    if plan.sweep is not None and record.distributions is not None:
        shared = SweepPaths(Path(plan.sweep.sweep_dir)).environment
        if _digest_in(shared) == record.distributions_digest:
            relative = Path(os.path.relpath(shared, paths.record)).as_posix()
            record = msgspec.structs.replace(record, distributions=None, distributions_in=relative)
    write_json(paths.environment, record)
    findings = held_against_lock(plan, whole)
    if plan.options.environment.exports:
        from repro_hydra.session.exports import write_exports  # what it renders by costs each start 0.03 s

        findings += write_exports(paths, plan, job, whole)
    return findings


def environment_of_this_process(options: ReproConf) -> EnvironmentRecord:
    """The whole environment as seen from here, distributions included."""
    return capture_environment(
        variables=options.environment.variables, environ=os.environ, distributions=list_distributions()
    )


def unrecorded_variables(options: ReproConf) -> Callable[[str, str], bool]:
    """Tells of a variable (name, value) whether it came from outside and the record will not hold it.

    One that the program has set for itself follows from what is recorded.
    """
    from_outside = initial_environment()
    more = tuple(options.environment.variables)

    @cache
    def is_unrecorded(name: str, value: str) -> bool:
        return from_outside.get(name) == value and not (is_chosen(name, more) or only_tells_where(name))

    return is_unrecorded


def write_shared_environment(paths: SweepPaths, record: EnvironmentRecord) -> None:
    """The list of distributions that the jobs of a sweep share."""
    write_json(
        paths.environment,
        {
            "schema": record.schema,
            "distributions_digest": record.distributions_digest,
            "distributions": record.distributions,
        },
    )


def _digest_in(shared: Path) -> str | None:
    try:
        value = msgspec.json.decode(shared.read_bytes(), type=_SharedDigest)
    except (OSError, msgspec.MsgspecError):
        return None  # the job keeps the list itself
    return value.distributions_digest


class _SharedDigest(msgspec.Struct):
    distributions_digest: str | None = None


def redacted_argv(argv: Sequence[str]) -> list[str]:
    """A command line without what looks like a secret, and without what the environment calls one."""
    known = known_secrets(os.environ)
    return [hide(argument, known) for argument in redact_argv(list(argv))]


def _redacted(value: JSON) -> JSON:
    """Without what looks like a secret, and without what it or the environment calls one, wherever it stands."""
    return hide(redact(value), [*secrets_in(value), *known_secrets(os.environ)])


def secrets_of(job: Job) -> tuple[str, ...]:
    """What the job's config calls a secret: an error may repeat it."""
    return secrets_in(to_json(containers(job.config)[1]))


def python_version() -> str:
    return platform.python_version()


def slurm_facts(environ: Mapping[str, str]) -> dict[str, JSON]:
    """What Slurm says of the job that this process belongs to; empty outside of Slurm."""
    names = {
        "job_id": "SLURM_JOB_ID",
        "array_job_id": "SLURM_ARRAY_JOB_ID",
        "array_task_id": "SLURM_ARRAY_TASK_ID",
        "nodes": "SLURM_JOB_NODELIST",
        "node": "SLURMD_NODENAME",
        "partition": "SLURM_JOB_PARTITION",
        "restarts": "SLURM_RESTART_COUNT",
        "cluster": "SLURM_CLUSTER_NAME",
        "procid": "SLURM_PROCID",
    }
    if "SLURM_JOB_ID" not in environ:
        return {}
    return {key: environ[name] for key, name in names.items() if name in environ}


def processes_of(run: RunRecord, paths: RunPaths | None) -> list[ProcessInfo]:
    """The job's own process and those that attached themselves to it."""
    own = ProcessInfo(pid=run.pid, role="main" if run.rank == 0 else f"rank {run.rank}", host=run.host)
    return [own, *(attached.process for attached in attached_processes(paths))]


def attached_processes(paths: RunPaths | None) -> list[AttachedProcess]:
    """What those told of themselves that attached themselves to a run; of each rank that of the last attempt."""
    found = []
    if paths is not None and paths.processes.is_dir():
        for file in sorted(paths.processes.glob("*.json")):
            try:
                found.append(read(file, AttachedProcess))
            except RecordError:
                continue  # a child that was killed while it wrote; its pid is the file's name
    ranks = {one.process.role: one for one in sorted(found, key=_signed_in_at) if _is_rank(one)}
    return [one for one in found if not _is_rank(one) or one is ranks[one.process.role]]


def _is_rank(attached: AttachedProcess) -> bool:
    return attached.process.role.startswith("rank ")


def _signed_in_at(attached: AttachedProcess) -> str:
    return attached.process.started_at or ""


def wait_for_ranks(run: RunRecord, paths: RunPaths, expected: int, limit_s: float = 30.0) -> None:
    """Let the other ranks finish what they write, before the manifest is made; those that were killed never do.

    Parameters
    ----------
    expected : int
        How many there are, also of those that have not signed in yet.
    """
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        ranks = [one for one in processes_of(run, paths)[1:] if one.role.startswith("rank ")]
        if len(ranks) >= expected and all(rank.ended_at is not None for rank in ranks):
            return
        time.sleep(0.05)


def failed_rank(processes: Sequence[ProcessInfo]) -> ProcessInfo | None:
    """The rank that did not come to its end; of several one that failed by itself, since that ends the others."""
    failed = [process for process in processes if process.error is not None]
    told = {number.name for number in SIGNALS} | {"KeyboardInterrupt"}
    return min(failed, key=lambda one: one.error is not None and one.error.type in told, default=None)


def failed_by(rank: ProcessInfo) -> dict[str, JSON]:
    """What that changes in ``run.json``."""
    assert rank.error is not None
    error = msgspec.structs.replace(rank.error, message=f"{rank.role}: {rank.error.message}")
    return {"status": "failed", "error": error, "upheld": "no"}


class AttachedProcess(msgspec.Struct, frozen=True, kw_only=True):
    """One file in ``processes/``, written by the child itself."""

    schema: str
    process: ProcessInfo
    streams: dict[str, str] = {}
    """Told by ranks only: what their generators drew from (`streams_drawn_from`)."""
