"""`capture_environment`: all that a run stood on, in one value."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from repro_hydra.environment import hardware, software
from repro_hydra.environment.distributions import digest_distributions, list_distributions
from repro_hydra.environment.gpu import GpuQuery, describe_accelerators
from repro_hydra.environment.unknown import Unknown
from repro_hydra.environment.variables import chosen_variables, slurm_variables
from repro_hydra.record.environment import Distribution, EnvironmentRecord
from repro_hydra.record.store import current_umask


def capture_environment(
    *,
    variables: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    distributions: Sequence[Distribution] | None = None,
    disk_at: Path | None = None,
) -> EnvironmentRecord:
    """The environment as this process sees it now.

    Call it in the process of the job and as late as the record allows: torch's instruction set, the loaded
    BLAS and the thread counts are known only once they are imported, and nothing is imported to know them.

    Parameters
    ----------
    variables : sequence of str
        Environment variables to record besides `variables.DEFAULT_VARIABLES`; patterns as in a shell.
    environ : mapping, optional
        The environment; the process's own by default.
    distributions : sequence of Distribution, optional
        What `list_distributions` gave, where it was already asked.
    disk_at : Path, optional
        The disk to describe is the one of this path; the current folder by default.
    """
    environ = os.environ if environ is None else environ
    unknown = Unknown()
    query = unknown.attempt("gpus", lambda: GpuQuery(environ))
    if distributions is None:
        distributions = unknown.attempt("distributions", lambda: list_distributions(environ=environ))
    cpu = hardware.describe_cpu(unknown)
    memory = hardware.describe_memory(unknown)
    disk = hardware.describe_disk(unknown, disk_at or Path())
    thread_pools = software.describe_thread_pools(unknown)
    limits = software.describe_limits(unknown)
    gpus = None if query is None else unknown.attempt("gpus", lambda: query.finish(unknown))
    return EnvironmentRecord(
        interpreter=software.describe_interpreter(),
        platform=software.describe_platform(unknown),
        cpu=cpu,
        memory=memory,
        disk=disk,
        gpus=gpus,
        accelerators=describe_accelerators(None if query is None else query.driver, unknown),
        thread_pools=thread_pools,
        threads=software.torch_threads(unknown),
        locale=software.describe_locale(),
        time_zone=software.describe_time_zone(environ),
        umask=f"{current_umask():04o}",
        limits=limits,
        container=software.describe_container(environ),
        slurm=slurm_variables(environ),
        variables=chosen_variables(environ, variables),
        distributions=None if distributions is None else list(distributions),
        distributions_digest=None if distributions is None else digest_distributions(distributions),
        unknown=dict(unknown),
    )
