"""What can be known before the start: everything that blocks, at once. Nothing here creates anything."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from repro_hydra.code import CodeState, inspect_code
from repro_hydra.config import DeterminismConf, Mode, ReproConf
from repro_hydra.determinism.interpreter import CUBLAS_DETERMINISTIC, NCCL_ALGORITHMS, NCCL_PROTOCOLS
from repro_hydra.inputs.hook import active
from repro_hydra.program import NoProgram, Program
from repro_hydra.record.schema import Finding
from repro_hydra.session.datasets import DataPlan, look_at_data
from repro_hydra.session.environment_lock import look_at_lock
from repro_hydra.session.findings import Misuse
from repro_hydra.session.imported import import_folders
from repro_hydra.session.plan import LockPlan
from repro_hydra.session.promise import weakened
from repro_hydra.sites import is_users


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What the checks found, and what they captured on the way."""

    findings: tuple[Finding, ...]
    code: CodeState | None
    data: DataPlan
    lock: LockPlan | None = None


def check_start(
    options: ReproConf, program: Program | NoProgram, *, cwd: Path, exclude: tuple[Path, ...] = ()
) -> Checked:
    """The checks that hold for a single run and for a whole sweep alike.

    Raises
    ------
    Misuse
        For a tracker that is not there, or an export of a format that there is none of.
    """
    if options.tracking:
        from repro_hydra.tracking.find import why_not_usable  # which few runs need

        for name in options.tracking:
            reason = why_not_usable(name)
            if reason is not None:
                raise Misuse(f"hydra.callbacks.repro.{reason}")
    findings = [*check_options(options)]
    code = None
    if options.code.capture:
        start = _where_the_code_is(program, cwd)
        code = inspect_code(
            start,
            max_file_bytes=options.code.max_file_bytes,
            max_patch_bytes=options.code.max_patch_bytes,
            exclude=exclude,
            imported=import_folders(os.environ),
        )
        findings += code.findings
        recorder = active()
        if recorder is not None:  # what was imported until now may be older than what was captured
            recorder.settle_start()
    else:
        findings.append(
            Finding(
                id="code-not-recorded",
                severity="blocks",
                message="code.capture: expected true, found false: nobody could run this code again. "
                "Leave out +repro/code=off",
            )
        )
    data, found = look_at_data(options.data, cwd)
    lock, differing = look_at_lock(options.environment, cwd)
    return Checked(findings=(*findings, *found, *differing), code=code, data=data, lock=lock)


def _where_the_code_is(program: Program | NoProgram, cwd: Path) -> Path:
    """The script; for a module, a notebook or a console script (which lies in the environment) the folder.

    Where that lies in no repository, and the module or what the console script calls is installed in place
    (``pip install -e``), its file.
    """
    if not isinstance(program, Program):
        return cwd
    if program.kind == "script" and not Path(program.target).is_relative_to(sys.prefix):
        return Path(program.target)
    if any((folder / ".git").exists() for folder in (cwd, *cwd.parents)):
        return cwd
    return _users_module() or cwd


def _users_module() -> Path | None:
    """The file of the main module, or of the first that it has a function of, where that is the user's."""
    main = sys.modules["__main__"]
    names = ["__main__", *(getattr(value, "__module__", None) for value in list(vars(main).values()))]
    for name in names:
        file: Any = getattr(sys.modules.get(name), "__file__", None) if isinstance(name, str) else None
        if isinstance(file, str) and is_users(file) and not Path(file).is_relative_to(sys.prefix):
            return Path(file).resolve()
    return None


def check_options(options: ReproConf) -> list[Finding]:
    """Options that contradict the mode, or that this version does not act upon."""
    _check_pins(options.determinism)
    findings = weakened(options)
    if options.mode is Mode.strict:
        findings += _not_deterministic(options.determinism)
    return findings


def _check_pins(options: DeterminismConf) -> None:
    """What the C library does not know would be UTC, the locale C, or a number of threads of its own, without a word.

    Raises
    ------
    Misuse
    """
    zone, umask, locale = options.time_zone, options.umask, options.locale
    if options.threads is not None and options.threads < 1:
        raise Misuse(f"determinism.threads: expected at least 1, or null, found {options.threads}")
    if locale is not None and not _is_installed(locale):
        raise Misuse(
            f"determinism.locale: expected one that is installed, such as C.UTF-8, found {locale!r}. "
            "Run: locale -a"
        )
    if zone is not None and re.fullmatch(r"[A-Za-z<][^/]*\d.*", zone) is None:  # POSIX's form: CET-1CEST
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # late: few runs pin their zone

        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise Misuse(
                f"determinism.time_zone: expected a zone such as UTC or Europe/Vienna, found {zone!r}"
            ) from None
    if umask is not None and re.fullmatch(r"[0-7]{1,3}", umask) is None:
        raise Misuse(f"determinism.umask: expected octal digits such as 022, found {umask!r}")


def _is_installed(name: str) -> bool:
    import locale  # late: few runs pin theirs

    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, name)
    except locale.Error:
        return False
    finally:
        locale.setlocale(locale.LC_ALL, before)
    return True


def _not_deterministic(options: DeterminismConf) -> list[Finding]:
    findings = []
    for option, found, expected in (
        ("cublas_workspace", options.cublas_workspace, CUBLAS_DETERMINISTIC),
        ("nccl_algo", options.nccl_algo, NCCL_ALGORITHMS),
        ("nccl_proto", options.nccl_proto, NCCL_PROTOCOLS),
    ):
        if found not in expected:
            findings.append(
                Finding(
                    id=f"setting-not-deterministic:{option}",
                    severity="blocks",
                    message=f"determinism.{option}: expected one of {', '.join(expected)}, found {found!r}",
                )
            )
    return findings


def check_sweeper(sweeper: Mapping[str, object] | None) -> list[Finding]:
    """A sweeper whose choices are drawn, and have no seed: another sweep would try other configurations.

    Parameters
    ----------
    sweeper : mapping
        The node ``hydra.sweeper`` as plain data: Optuna's sampler, Nevergrad's optimizer, Ax's client.
    """
    for path in _SEEDS_OF_SWEEPERS:
        *above, key = path.split(".")
        node: object = sweeper
        for name in above:
            node = node.get(name) if isinstance(node, Mapping) else None
        if isinstance(node, Mapping) and key in node and node[key] is None:
            return [
                Finding(
                    id=f"sweeper-unseeded:{path}",
                    severity="blocks",
                    message=f"hydra.sweeper.{path}: expected a seed, found null: what the sweeper tries would be "
                    f"drawn anew each time. Give it one: hydra.sweeper.{path}=0",
                )
            ]
    return []


_SEEDS_OF_SWEEPERS = ("sampler.seed", "optim.seed", "ax_config.client.random_seed")


def check_single_run(options: ReproConf) -> list[Finding]:
    """Options that only a sweep acts upon."""
    if options.wait:
        return []
    message = (
        "hydra.callbacks.repro.wait=false: a single run is not submitted anywhere, it is this very process. "
        "Leave it out, or make it a sweep: -m hydra/launcher=submitit_slurm"
    )
    return [Finding(id="option-without-effect:wait", severity="blocks", message=message)]
