"""The exports of an environment that a run was asked for, beside its record."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from packaging.utils import canonicalize_name

from repro_hydra.arguments import job_argv
from repro_hydra.determinism import required_variables
from repro_hydra.environment.exports import FILE_NAMES, CannotExport, Subject, render
from repro_hydra.environment.pins import pins_of
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.lock import Artifact, EnvironmentLock
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.places import project_of
from repro_hydra.record.redact import redact_argv
from repro_hydra.record.schema import Finding
from repro_hydra.record.store import write_bytes
from repro_hydra.session.plan import Job, Plan


def write_exports(paths: RunPaths, plan: Plan, job: Job, record: EnvironmentRecord) -> list[Finding]:
    """The exports that the options ask for, beside the record; a finding for each that could not be whole."""
    findings: list[Finding] = []
    chosen = plan.options.environment.exports
    if not chosen:
        return findings
    subject = _subject(paths, plan, job, record, os.environ)
    paths.exports.mkdir(exist_ok=True)
    for name in dict.fromkeys(chosen):
        try:
            export = render(name, subject)
        except CannotExport as error:
            findings.append(_incomplete(name, f"not written: {error}"))
            continue
        write_bytes(paths.exports / FILE_NAMES[name], export.text.encode())
        if export.incomplete:
            findings.append(_incomplete(name, "; ".join(subject.pins.problems)))
    return findings


def _incomplete(name: str, message: str) -> Finding:
    return Finding(
        id=f"export-incomplete:{name}", severity="harmless", message=f"environment.exports: {name}: {message}"
    )


def _subject(
    paths: RunPaths, plan: Plan, job: Job, record: EnvironmentRecord, environ: Mapping[str, str]
) -> Subject:
    project = project_of(Path(plan.cwd))
    artifacts = {} if plan.lock is None else _same_versions(plan.lock.lock, record)
    requirements = paths.exports / FILE_NAMES["requirements"]
    return Subject(
        environment=record,
        pins=pins_of(record.distributions or [], artifacts=artifacts, project=project),
        project=project,
        requirements=Path(os.path.relpath(requirements, project)).as_posix(),
        command=_command(plan, job, project),
        variables=required_variables(plan.options.determinism, environ),
    )


def _same_versions(lock: EnvironmentLock, record: EnvironmentRecord) -> dict[str, list[Artifact]]:
    """The files that the lock knows of packages that are here at the locked version."""
    locked, here = _versions(lock.environment), _versions(record)
    return {name: files for name, files in lock.artifacts.items() if here.get(name) == locked.get(name)}


def _versions(record: EnvironmentRecord) -> dict[str, str | None]:
    return {str(canonicalize_name(item.name)): item.version for item in record.distributions or []}


def _command(plan: Plan, job: Job, project: Path) -> tuple[str, ...]:
    """What was started, as a container with the project in its working directory starts it."""
    argv = list(plan.argv)
    if plan.sweep is not None and argv:
        argv = job_argv(argv, job.overrides, job.hydra_overrides)
    arguments = redact_argv(argv)[1:]
    target = str(plan.entry.get("target", ""))
    if plan.entry.get("kind") == "module":
        return ("python", "-m", target, *arguments)
    if target and Path(target).is_relative_to(project):
        return ("python", Path(target).relative_to(project).as_posix(), *arguments)
    return (Path(target).name, *arguments) if target else ()
