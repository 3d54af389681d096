"""`repro-hydra run`: the environment that the command's own overrides ask for, so that it is started once."""

from __future__ import annotations

import pytest

from repro_hydra.cli.run import environment_for
from repro_hydra.config import CpuCapability, DeterminismConf
from repro_hydra.determinism import required_variables

OPTION = "hydra.callbacks.repro.determinism"


@pytest.mark.parametrize(
    ("overrides", "options"),
    [
        ([], DeterminismConf()),
        ([f"{OPTION}.threads=4"], DeterminismConf(threads=4)),
        ([f"++{OPTION}.threads=null"], DeterminismConf(threads=None)),
        (
            [f"{OPTION}.cpu_capability=avx2", f"{OPTION}.time_zone='UTC'"],
            DeterminismConf(cpu_capability=CpuCapability.avx2, time_zone="UTC"),
        ),
        ([f"{OPTION}.nccl_algo=Tree", f"{OPTION}.interpreter=true"], DeterminismConf(nccl_algo="Tree")),
        ([f"{OPTION}.threads=many", f"{OPTION}.nothing=1", "seed=3"], DeterminismConf()),
    ],
)
def test_the_commands_overrides_decide(overrides: list[str], options: DeterminismConf) -> None:
    """What is none of the options, or cannot be one, is left to the program to refuse."""
    command = ["python", "train.py", "+repro=strict", *overrides]
    assert environment_for(command, {"HOME": "/home/me"}) == {
        "HOME": "/home/me",
        **required_variables(options, {}),
    }


def test_the_option_of_run_itself_beats_them() -> None:
    """`--threads` is said last."""
    environ = environment_for(["python", "train.py", f"{OPTION}.threads=4"], {}, threads=2)
    assert environ["OMP_NUM_THREADS"] == "2"
