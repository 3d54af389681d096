"""This machine: interpreter, plugins, settings, GPUs, Slurm."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from packaging.version import InvalidVersion, Version

from repro_hydra.config_groups import MODES
from repro_hydra.determinism import addresses
from repro_hydra.determinism.interpreter import HASH_SEED
from repro_hydra.doctor.advice import Advice, advice_from
from repro_hydra.doctor.probe import ProbeError, look_at
from repro_hydra.inputs.places import START_FILE, start_file_is_there
from repro_hydra.record.environment import Gpu
from repro_hydra.record.schema import Finding

_SAFE_CHECKPOINTS = Version("2.10")
_SLURM_TIMEOUT_S = 20.0
_SOCKET_PATH_BYTES = 103 if sys.platform == "darwin" else 107
"""What ``sun_path`` holds besides its closing zero (``unix(7)``)."""
_WORKER_SOCKET = "/pymp-xxxxxxxx/listener-xxxxxxxx"
"""The socket that ``multiprocessing`` opens below the temporary folder, to pass a worker's tensors on."""


def about_interpreter(environ: Mapping[str, str]) -> Iterator[Advice]:
    """What of this process's start, or of its shell, will be in the way of a run's."""
    if sys.flags.ignore_environment:
        yield Advice(
            id="interpreter-ignores-environment",
            severity="blocks",
            message="python -I or -E makes the interpreter ignore PYTHONHASHSEED, so strict refuses to start",
            remedy="start Python without -I and -E",
        )
    chosen = environ.get("PYTHONHASHSEED")
    if chosen not in (None, HASH_SEED):
        yield Advice(
            id="hash-seed-chosen",
            severity="harmless",
            message=f"PYTHONHASHSEED is {chosen!r} in this shell; strict starts each run again with {HASH_SEED}",
            remedy="unset PYTHONHASHSEED",
        )
    for name, why in (
        (
            "PYTHONPATH",
            "a module there stands before an installed one of the same name, and no package list shows it",
        ),
        ("LD_PRELOAD", "a library there is loaded into every program, and no package list shows it"),
    ):
        if environ.get(name):
            yield Advice(
                id=f"variable-set:{name}",
                severity="harmless",
                message=f"{name} is {environ[name]!r} in this shell: {why}",
                remedy=f"unset {name}",
            )
    python = shutil.which("python", path=environ.get("PATH"))
    if python is not None and _prefix_of(python) != Path(sys.prefix).resolve():
        yield Advice(
            id="other-python",
            severity="harmless",
            message=f"`python` is {python}, and this package is installed in {sys.prefix}: what is started with that "
            "`python` has another environment",
            remedy=_activation(),
        )
    if addresses.layout() is not None and not addresses.can_be_fixed():
        yield Advice(
            id="address-layout",
            severity="harmless",
            message=f"sets of objects may iterate in another order in each run: {addresses.describe_refusal()}",
            remedy="in Docker: --security-opt seccomp=unconfined, or a profile that allows personality(2)",
        )


def about_discovery(folder: Path) -> tuple[list[Advice], list[str]]:
    """Whether a Hydra program started in `folder` finds ``+repro``; and the launchers that it finds."""
    try:
        found = look_at("discovery", folder)
    except ProbeError as error:
        return [
            Advice(
                id="plugin-discovery-failed",
                severity="blocks",
                message=f"Hydra's plugin discovery ends with an error here: {error}",
                remedy=f"{shlex.quote(sys.executable)} -c "
                + shlex.quote("from hydra.core.plugins import Plugins; Plugins.instance()"),
            )
        ], []
    advice = [
        Advice(
            id="plugin-warning",
            severity="harmless",
            message=f"Hydra could not import a plugin: {text.strip().splitlines()[0]}",
            remedy="mend or uninstall that plugin",
        )
        for text in found["warnings"]
    ]
    if sorted(MODES) != found["modes"]:
        advice.append(_not_found(found))
    return advice, found["launchers"]


def _not_found(found: Mapping[str, Any]) -> Advice:
    message = (
        "Hydra does not find the group `repro` here: `+repro=strict` would become a value of the program's own config, "
        "and the run would be neither checked nor recorded"
    )
    if found["shadowed_by"]:
        file = found["shadowed_by"]
        message += f". {file} makes a package of its folder, which hides the plugins that are installed"
        remedy = f"rm {shlex.quote(file)}"
    else:
        places = ", ".join(found["places"]) or "none"
        message += f". Folders of plugins that Python finds: {places}"
        remedy = f"{shlex.quote(sys.executable)} -m pip install --force-reinstall --no-deps repro-hydra"
    return Advice(id="plugin-not-found", severity="blocks", message=message, remedy=remedy)


def about_settings(folder: Path, gpus: list[Gpu] | None) -> Iterator[Advice]:
    """What strict would not find in force, probed in an interpreter that started as a strict run does."""
    try:
        found = look_at("settings", folder)
    except ProbeError as error:
        yield Advice(
            id="settings-not-probed",
            severity="blocks",
            message=f"the numeric libraries cannot be imported and set here: {error}",
            remedy=f"{shlex.quote(sys.executable)} -c 'import numpy, torch'",
        )
        return
    for row in found["findings"]:
        if row["id"] != "setting-not-in-force:address_layout":  # has its own
            yield advice_from(Finding(id=row["id"], severity=row["severity"], message=row["message"]))
    yield from _about_torch(found, gpus)


def _about_torch(found: Mapping[str, Any], gpus: list[Gpu] | None) -> Iterator[Advice]:
    pip = f"{shlex.quote(sys.executable)} -m pip install -U"
    if found["torch"] is None:
        return
    try:
        version = Version(found["torch"])
    except InvalidVersion:
        return
    if version < _SAFE_CHECKPOINTS:
        yield Advice(
            id="torch-weights-only",
            severity="harmless",
            message=f"torch {version}: a crafted checkpoint can run code although it is loaded with "
            f"weights_only=True, which was mended in {_SAFE_CHECKPOINTS}. Load only checkpoints whose digest you know",
            remedy=f"{pip} 'torch>={_SAFE_CHECKPOINTS}'",
        )
    if gpus and not found["torch_sees_gpus"]:
        yield Advice(
            id="torch-sees-no-gpu",
            severity="harmless",
            message=f"there {'is a GPU' if len(gpus) == 1 else f'are {len(gpus)} GPUs'} here, and torch {version} sees "
            "none: runs go to the CPU, with other bits",
            remedy=f"{pip} torch, from the index of a build for this driver; or set CUDA_VISIBLE_DEVICES",
        )


def about_threads(cores: int | None) -> Iterator[Advice]:
    """The default that surprises most."""
    if cores is not None and cores > 1:
        yield Advice(
            id="one-thread",
            severity="harmless",
            message=f"strict runs with 1 thread, and {cores} cores may be used here; another number gives other bits, "
            "and is part of the record",
            remedy=f"hydra.callbacks.repro.determinism.threads={cores}",
        )


def about_inputs(folders: Sequence[str] | None = None) -> Iterator[Advice]:
    """Whether what a job's Python children read can be watched."""
    if not start_file_is_there(folders):
        yield Advice(
            id="inputs-start-file",
            severity="may_change_bits",
            message=f"{START_FILE}: expected in site-packages, where an interpreter reads it at its start, found none: "
            "what a job's Python children and the top of its script read is not watched",
            remedy="pip install --force-reinstall --no-deps repro-hydra (an editable install: pip install -e . again)",
        )


def about_temporary_folder(environ: Mapping[str, str]) -> Iterator[Advice]:
    """A data loader's worker that cannot open its socket says so on stderr and goes on; who waits for it hangs."""
    folder = next((environ[name] for name in ("TMPDIR", "TEMP", "TMP") if environ.get(name)), "")
    most = _SOCKET_PATH_BYTES - len(_WORKER_SOCKET)
    if len(os.fsencode(folder)) > most:
        yield Advice(
            id="temporary-folder-too-long",
            severity="may_change_bits",
            message=f"the temporary folder {folder}: expected a path of at most {most} bytes, found "
            f"{len(os.fsencode(folder))}: the workers of a torch DataLoader cannot open a socket there, and it hangs",
            remedy="export TMPDIR=/tmp",
        )


def about_slurm(environ: Mapping[str, str], launchers: list[str]) -> Iterator[Advice]:
    """Only where there is one."""
    if shutil.which("sbatch", path=environ.get("PATH")) is None:
        return
    if "submitit_slurm" not in launchers:
        yield Advice(
            id="submitit-missing",
            severity="harmless",
            message="there is a Slurm here, and Hydra finds no launcher for it",
            remedy=f"{shlex.quote(sys.executable)} -m pip install hydra-submitit-launcher",
        )
    said = _accounting(environ)
    if said is not None:
        yield Advice(
            id="slurm-without-accounting",
            severity="harmless",
            message=f"sacct does not answer ({said}): a job that dies without a result may be noticed late or never",
            remedy="ask the cluster's administrators for slurmdbd; meanwhile `squeue` and `repro-hydra list` tell",
        )


def _accounting(environ: Mapping[str, str]) -> str | None:
    """Why sacct does not answer; None where it does."""
    command = shutil.which("sacct", path=environ.get("PATH"))
    if command is None:
        return "there is none on the PATH"
    try:
        done = subprocess.run(  # noqa: PLW1510 (its status is looked at below)
            [command, "-n", "-X", "-S", "now-1minutes"],
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SLURM_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        return f"not within {_SLURM_TIMEOUT_S:.0f} s"
    except OSError as error:
        return str(error.strerror)
    said = (done.stderr or done.stdout).strip()
    return (said.splitlines()[0] if said else f"status {done.returncode}") if done.returncode else None


def _prefix_of(python: str) -> Path:
    """The environment of an interpreter by where it lies: ``PREFIX/bin/python``."""
    path = Path(os.path.abspath(python))  # noqa: PTH100 (in a virtual environment it is a link: not to be followed)
    return path.parent.parent.resolve()


def _activation() -> str:
    script = Path(sys.prefix, "bin", "activate")
    return f"source {shlex.quote(str(script))}" if script.exists() else f"use {shlex.quote(sys.executable)}"
