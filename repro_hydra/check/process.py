"""One run of the command, under its conditions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from repro_hydra.check.conditions import HELD_TIME_S, Conditions
from repro_hydra.check.inside.start import VARIABLE
from repro_hydra.check.outcome import Outcome, read_outcome
from repro_hydra.check.places import PLAIN_LOCALE, Kind, copy_tree, states
from repro_hydra.determinism.addresses import can_be_fixed, fixed_for_children
from repro_hydra.reproduce.process import ended_before_us

_ENTRY = Path(__file__).with_name("entry")
_ZONES = ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kathmandu", "America/St_Johns")
"""The second and the third never have the same date."""
_PLAIN_ZONES = ("UTC0", "<+14>-14", "<-11>+11", "<+0545>-5:45", "<-0330>+3:30")


@dataclass(frozen=True, kw_only=True)
class Workplace:
    """What all runs of one check share."""

    command: Sequence[str]
    kind: Kind
    cwd: Path
    scratch: Path
    environ: Mapping[str, str]
    locales: Sequence[str] = (PLAIN_LOCALE,)
    strict: Mapping[str, str] | None = None
    """For a strict run the variables that it wants from its start, so that it need not start again."""
    echo: Callable[[str], None] = field(default=lambda _line: None)

    def zones(self) -> Sequence[str]:
        return _ZONES if Path("/usr/share/zoneinfo", _ZONES[1]).exists() else _PLAIN_ZONES

    def not_varied(self) -> dict[str, str]:
        """What this machine does not let us vary, and why."""
        found = {}
        if len(self.locales) < 2:
            found["locale"] = f"no locale but {PLAIN_LOCALE} is installed"
        if not sys.platform.startswith("linux"):
            found["memory"] = "fresh memory is filled by the C library of Linux alone"
            found["addresses"] = "addresses can be held on Linux alone; they vary by themselves"
        elif not can_be_fixed():
            found["addresses"] = "this system does not let them be held; they vary by themselves"
        if self.strict is not None:
            found["hash seed"] = "strict holds it, whatever it is outside"
        return found


def run_once(workplace: Workplace, name: str, conditions: Conditions) -> Outcome:
    """Run the command to its end; `name` is the folder, below the scratch one, that its outcome is kept in."""
    kept = workplace.scratch / name
    # The path is part of what a run sees: it is another one only where the conditions say so.
    folder = workplace.scratch / "run" if conditions.directory == 0 else kept
    cwd, before = workplace.cwd, {}
    if workplace.kind == "plain":
        cwd = folder / "tree"
        copy_tree(workplace.cwd, cwd)
        before = states(cwd)
    folder.mkdir(exist_ok=True)
    notes = workplace.scratch / "notes.jsonl"
    notes.unlink(missing_ok=True)
    spec = workplace.scratch / "conditions.json"
    output = folder / "hydra"
    spec.write_text(
        json.dumps(
            {
                "conditions": msgspec.to_builtins(conditions),
                "notes": str(notes),
                "start": str(cwd),
                "directory": str(output),
                "held_at": HELD_TIME_S,
            }
        )
    )
    status, printed = _to_its_end(workplace, cwd, _environment(workplace, conditions, spec, cwd), conditions)
    (folder / "stdout.txt").write_bytes(printed)
    if folder != kept:
        folder.rename(kept)
    noted = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
    return read_outcome(
        folder=kept,
        was=folder,
        tree=kept / "tree" if workplace.kind == "plain" else None,
        before=before,
        status=status,
        noted=noted,
        conditions=conditions,
    )


def _environment(workplace: Workplace, conditions: Conditions, spec: Path, cwd: Path) -> dict[str, str]:
    zones = workplace.zones()
    environ = dict(workplace.environ)
    path = [str(_ENTRY), *filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))]
    environ |= {
        VARIABLE: str(spec),
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONHASHSEED": str(conditions.hash_seed),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PWD": str(cwd),
        "TZ": zones[conditions.time_zone % len(zones)],
        "LC_ALL": workplace.locales[conditions.locale % len(workplace.locales)],
        "MALLOC_PERTURB_": str(conditions.memory),
        "REPRO_HYDRA_CHECK_BALLAST": "x" * conditions.ballast,
    }
    return {**environ, **(workplace.strict or {})}


def _to_its_end(
    workplace: Workplace, cwd: Path, environ: Mapping[str, str], conditions: Conditions
) -> tuple[int, bytes]:
    """Its exit status, and what it printed; errors are told to `echo` alone."""
    program = shutil.which(workplace.command[0], path=environ.get("PATH"))
    if program is None:
        raise FileNotFoundError(workplace.command[0])
    # Strict holds addresses itself, and would start the program once more for it.
    held = conditions.addresses_held or workplace.strict is not None
    errors = workplace.scratch / "stderr.txt"
    with (
        errors.open("wb") as stream,
        fixed_for_children(held),
        subprocess.Popen(
            [program, *workplace.command[1:]],
            cwd=cwd,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stream,
        ) as process,
        ended_before_us(process),
    ):
        printed, _ = process.communicate()
    if process.returncode != 0:
        workplace.echo(errors.read_text(errors="replace")[-3000:])
    return process.returncode, printed
