"""The `JobReturn` of a job that gave none itself."""

from __future__ import annotations

from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from repro_hydra.launcher.spec import JobDied
from repro_hydra.session.ending import ending


class Submitted:
    """Stands for the return value of a job that nobody waits for."""

    def __init__(self, job_id: str) -> None:
        self.job_id = job_id


def failed_return(config: DictConfig, error: BaseException) -> JobReturn:
    """Of a job that died: its launcher says what is known of that."""
    result = _return(config)
    result.status = JobStatus.FAILED
    result.return_value = error if isinstance(error, Exception) else JobDied(how_it_left(error))
    return result


def how_it_left(error: BaseException) -> str:
    """Of a job that ended by `sys.exit`, an interrupt or a signal."""
    info = ending(error)[1]
    return "the job left by sys.exit()" if info is None else f"the job left by {info.type}: {info.message}"


def submitted_return(config: DictConfig, job_id: str) -> JobReturn:
    """Of a job that was handed to the cluster and left there."""
    result = _return(config)
    result.status = JobStatus.COMPLETED  # of its submission, which is all that this process does
    result.return_value = Submitted(job_id)
    return result


def _return(config: DictConfig) -> JobReturn:
    result = JobReturn()
    result.overrides = list(config.hydra.overrides.task)
    result.cfg = config
    result.task_name = config.hydra.job.name
    return result
