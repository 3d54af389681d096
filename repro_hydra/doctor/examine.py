"""`examine`: all of it, for one folder."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from repro_hydra.doctor import machine, project
from repro_hydra.doctor.advice import Examination, examination
from repro_hydra.environment import list_distributions
from repro_hydra.environment.gpu import GpuQuery
from repro_hydra.environment.hardware import describe_cpu, describe_disk
from repro_hydra.environment.unknown import Unknown
from repro_hydra.record.schema import JSON


def examine(folder: Path, environ: Mapping[str, str]) -> Examination:
    """What on this machine and in the project of `folder` stands in the way of reproducibility.

    Nothing is changed; two interpreters are started there, as a user would start a program.

    Parameters
    ----------
    folder : Path
        Where a run would be started; need not be a project.
    """
    unknown = Unknown()
    query = GpuQuery(environ)
    cpu, disk = describe_cpu(unknown), describe_disk(unknown, folder)
    gpus = query.finish(unknown)
    with ThreadPoolExecutor(max_workers=2) as pool:  # they wait for other processes
        settings = pool.submit(lambda: list(machine.about_settings(folder, gpus)))
        discovery = pool.submit(machine.about_discovery, folder)
        installed = list_distributions(environ=environ)
        code = project.look_at_code(folder)
        data = project.look_at_data(folder)
        records = project.look_at_records(folder)
        discovered, launchers = discovery.result()
        found = [
            *machine.about_interpreter(environ),
            *discovered,
            *settings.result(),
            *machine.about_threads(_usable_cores(cpu.affinity, cpu.quota_cores)),
            *machine.about_inputs(),
            *machine.about_temporary_folder(environ),
            *machine.about_slurm(environ, launchers),
            *project.about_code(code, folder, environ),
            *project.about_packages(folder, installed),
            *project.about_lock(folder, installed),
            *data.advice,
            *records.advice,
            *project.about_disk(folder, disk.free_bytes),
        ]
    facts: dict[str, JSON] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "gpus": None if gpus is None else [gpu.name for gpu in gpus],
        "commit": code.record.commit,
        "dirty": code.record.dirty,
        "datasets": data.versions,
        "runs": records.runs,
        "record_bytes": records.record_bytes,
        "launchers": launchers,
        "folder": os.path.abspath(folder),  # noqa: PTH100 (as the user knows it, links and all)
    }
    return examination(found, facts)


def _usable_cores(affinity: list[int] | None, quota: float | None) -> int | None:
    cores = os.cpu_count() if affinity is None else len(affinity)
    return cores if cores is None or quota is None else max(1, min(cores, int(quota)))
