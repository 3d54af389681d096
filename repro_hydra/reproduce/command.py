"""The command that runs a job again: the interpreter, what was started, and the arguments of this very job."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from repro_hydra.arguments import job_argv
from repro_hydra.record.redact import PLACEHOLDER
from repro_hydra.record.schema import JSON
from repro_hydra.reproduce.original import Original
from repro_hydra.session.recorded import keys_from_environment, leaves

_MODULE = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*")
_CONSOLE_SCRIPT = re.compile(r"[A-Za-z0-9][\w.-]*")
_OC_ENV = re.compile(r"\$\{oc\.env:\s*([^,}\s]+)\s*(,[^}]*)?\}")
_RESTORED = re.compile(
    r"[A-Z]+_NUM_THREADS|VECLIB_MAXIMUM_THREADS|PYTHONHASHSEED|OMP_(?:DYNAMIC|SCHEDULE|PROC_BIND|PLACES)"
    r"|KMP_(?:AFFINITY|BLOCKTIME)|MKL_(?:CBWR|DYNAMIC|ENABLE_INSTRUCTIONS)|ATEN_CPU_CAPABILITY|ONEDNN_MAX_CPU_ISA"
    r"|DNNL_MAX_CPU_ISA|OPENBLAS_CORETYPE|CUBLAS_WORKSPACE_CONFIG|NVIDIA_TF32_OVERRIDE|TZ"
)
"""Variables that change numbers and name no file: none of them can bring code in."""
_HARMLESS_VALUE = re.compile(r"[\w:,=+@{}-][\w:,=+@{}. -]*(?:/[\w+-]+)*|")


@dataclass(slots=True)
class Command:
    """How to run a job again, as far as it is known."""

    program: list[str] = field(default_factory=list)
    """Flags of the interpreter, and the script or ``-m`` and the module; paths are relative to the tree."""
    arguments: list[str] = field(default_factory=list)
    cwd: str | None = None
    """Relative to the tree; None: the run was started outside of its repository."""
    recorded_cwd: str = ""
    console_script: str | None = None
    secrets: dict[str, str] = field(default_factory=dict)
    """Config key to the variable that its value is to be had from."""
    missing: list[str] = field(default_factory=list)

    def shown(self) -> str:
        """For people: what would be run, and where."""
        program = [self.console_script] if self.console_script else ["python", *self.program]
        where = self.cwd if self.cwd not in (None, ".") else ""
        text = shlex.join([*program, *self.arguments])
        return f"cd {shlex.quote(where)} && {text}" if where else text


def command_of(original: Original, environ: Mapping[str, str]) -> Command:
    """The command of a run, or of this one job of a sweep."""
    run = original.run
    command = Command(recorded_cwd=run.cwd)
    repository = original.code.repository if original.code is not None else None
    command.cwd = _relative(run.cwd, repository)
    _add_program(command, original, repository)
    argv = list(run.argv)
    if run.sweep is not None and argv:
        of_hydra = [] if original.config is None else original.config.hydra_overrides
        argv = job_argv(argv, run.overrides, of_hydra)
    command.arguments = _without_secrets(command, argv[1:], environ)
    _ask_for_variables(command, original, environ)
    return command


def _add_program(command: Command, original: Original, repository: str | None) -> None:
    entry = original.run.entry
    kind, target = entry.get("kind"), entry.get("target")
    command.program = _interpreter_flags(original)
    if kind == "module" and isinstance(target, str) and _MODULE.fullmatch(target):
        command.program += ["-m", target]
        return
    if kind in ("script", "session") and isinstance(target, str) and target:
        prefix = original.environment.interpreter.prefix if original.environment is not None else None
        if prefix is not None and _relative(target, prefix) is not None:
            name = Path(target).name
            if _CONSOLE_SCRIPT.fullmatch(name):
                command.console_script = name
                return
        relative = _relative(target, repository)
        if relative is not None and relative != ".":
            command.program.append(relative)
            return
        command.missing.append(f"code: the script {target} lies outside of its repository {repository}")
        return
    reason = entry.get("reason")
    told = f" ({reason})" if isinstance(reason, str) else ""
    command.missing.append(f"command: the record does not say how the program was started{told}")


def own_import_folders(original: Original, tree: Path) -> list[Path]:
    """The folders of the run's own repository that PYTHONPATH named (``PYTHONPATH=src``), in `tree`."""
    repository = original.code.repository if original.code is not None else None
    named = "" if original.environment is None else original.environment.variables.get("PYTHONPATH", "")
    found = []
    for entry in filter(None, named.split(os.pathsep)):
        relative = _relative(os.path.join(original.run.cwd, entry), repository)  # noqa: PTH118 (of another machine)
        folder = Path(os.path.realpath(tree / relative)) if relative is not None else None
        if folder is not None and folder.is_relative_to(os.path.realpath(tree)):
            found.append(folder)
    return found


def _relative(path: str, folder: str | None) -> str | None:
    """`path` relative to `folder`, both as recorded; None where it does not lie there."""
    if not folder or not path:
        return None
    relative = os.path.relpath(os.path.normpath(path), os.path.normpath(folder))
    return None if relative == ".." or relative.startswith("../") else relative


def _interpreter_flags(original: Original) -> list[str]:
    flags = original.environment.interpreter.flags if original.environment is not None else {}
    chosen = []
    if flags.get("optimize") in (1, 2):
        chosen.append("-" + "O" * int(flags["optimize"]))
    if flags.get("safe_path") and sys.version_info >= (3, 11):
        chosen.append("-P")
    if flags.get("utf8_mode") == 1:
        chosen += ["-X", "utf8"]
    if flags.get("dev_mode"):
        chosen += ["-X", "dev"]
    digits = flags.get("int_max_str_digits")
    if isinstance(digits, int) and digits not in (
        -1,
        getattr(sys.int_info, "default_max_str_digits", digits),
    ):
        chosen += ["-X", f"int_max_str_digits={digits}"]
    return chosen


# --- secrets ---------------------------------------------------------------------------------------------


def _without_secrets(command: Command, arguments: list[str], environ: Mapping[str, str]) -> list[str]:
    """The arguments, those left out whose value was redacted: the value comes from a variable, or is missing."""
    kept = []
    for argument in arguments:
        if PLACEHOLDER not in argument:
            kept.append(argument)
            continue
        key, equals, value = argument.partition("=")
        name = key.lstrip("+~-").partition("@")[0]
        if not equals or value.strip("'\"") != PLACEHOLDER:
            command.missing.append(f"command: {argument}: holds a secret that is not in the record")
            continue
        _want_secret(command, name, environ)
    return kept


def _want_secret(command: Command, key: str, environ: Mapping[str, str]) -> None:
    names = list(
        dict.fromkeys([re.sub(r"\W", "_", key).upper(), re.sub(r"\W", "_", key.rpartition(".")[2]).upper()])
    )
    found = next((name for name in names if name in environ), None)
    if found is None:
        command.missing.append(
            f"environment: {key}: a secret that is not in the record. Give it: export {names[0]}=…"
        )
    else:
        command.secrets[key] = found


def _ask_for_variables(command: Command, original: Original, environ: Mapping[str, str]) -> None:
    """What the config took from the environment and was redacted must be there again."""
    config = original.config
    if config is None:
        return
    resolved = dict(leaves(config.resolved))
    for key, text in keys_from_environment(config.unresolved).items():
        if not _redacted(resolved.get(key)):
            continue
        for name, default in _OC_ENV.findall(text):
            if name not in environ and not default:
                command.missing.append(
                    f"environment: {key}: its value came from ${name} and is not in the record. "
                    f"Give it: export {name}=…"
                )


def _redacted(value: JSON) -> bool:
    return isinstance(value, str) and PLACEHOLDER in value


# --- the environment of the process ----------------------------------------------------------------------


def process_environment(original: Original, environ: Mapping[str, str], cwd: Path) -> dict[str, str]:
    """This environment, with the recorded thread counts and instruction sets in it."""
    given = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("GIT_DIR", "GIT_INDEX", "GIT_WORK"))
    }
    given["PWD"] = str(cwd)
    if original.environment is not None:
        recorded = original.environment.variables
        for name in [name for name in given if _RESTORED.fullmatch(name) and name not in recorded]:
            del given[name]
        given |= {
            name: value
            for name, value in recorded.items()
            if _RESTORED.fullmatch(name) and _HARMLESS_VALUE.fullmatch(value)
        }
    return given
