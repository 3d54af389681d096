"""``repro-hydra track sync``: send to the trackers what could not be sent."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import folders, print_json
from repro_hydra.record.find import walk
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.redact import PLACEHOLDER
from repro_hydra.record.schema import ConfigRecord, RunRecord
from repro_hydra.record.store import RecordError, read
from repro_hydra.record.vouch import user_key, vouched
from repro_hydra.tracking.delivery import Busy, deliver, is_complete, read_state
from repro_hydra.tracking.find import why_not_usable
from repro_hydra.tracking.strangers import NotOurs, options_of_anybody


def sync(run_dirs: Sequence[Path], *, only: Sequence[str] = (), json: bool = False) -> bool:
    """Bring each tracker of each run up to date; whether all of them now are."""
    lines: list[dict[str, Any]] = []
    for run_dir in run_dirs:
        for name, options in trackers_of(run_dir).items():
            if not only or name in only:
                lines.append(
                    {"dir": str(run_dir), "tracker": name, **_sync(run_dir.absolute(), name, options)}
                )
    if json:
        print_json(lines)
    else:
        for line in lines:
            print(f"{line['dir']}: {line['tracker']}: {line['state']}")
        if not lines:
            print("no run here was to be tracked")
    return all(line["ok"] for line in lines)


def trackers_of(run_dir: Path) -> dict[str, dict[str, Any]]:
    """The trackers that the run was configured with, and their options as recorded."""
    try:
        options = read(RunPaths(run_dir).config, ConfigRecord).repro
    except RecordError as error:
        raise UserError(str(error)) from None
    tracking = options.get("tracking") if isinstance(options, dict) else None
    return {name: dict(o or {}) for name, o in tracking.items()} if isinstance(tracking, dict) else {}


def _sync(run_dir: Path, name: str, options: dict[str, Any]) -> dict[str, Any]:
    state = read_state(RunPaths(run_dir), name)
    if state is not None and is_complete(RunPaths(run_dir), state):
        return {"ok": True, "state": "complete already", "url": state.remote_url}
    for option, value in (state.options if state is not None else {}).items():
        if options.get(option) is None:
            options = {**options, option: value}  # what the run took from its environment
    own = vouched(RunPaths(run_dir), user_key(os.environ)) == "this user"
    if not own:
        try:
            options = options_of_anybody(run_dir, name, options)
        except NotOurs as error:
            return {"ok": False, "state": f"not sent: {error}", "url": None}
    reason = why_not_usable(name)
    hidden = sorted(key for key, value in options.items() if isinstance(value, str) and PLACEHOLDER in value)
    if hidden:
        reason = f"{', '.join(hidden)}: a secret that no record holds. Give it by the tracker's own variables"
        options = {key: value for key, value in options.items() if key not in hidden}
    if reason is not None and not hidden:
        return {"ok": False, "state": reason, "url": None}
    try:
        # MLflow prints where its run is to be seen. Relative places begin where the run was started, if it was ours.
        started_in = _within(run_dir) if own else contextlib.nullcontext()
        with contextlib.redirect_stdout(sys.stderr), started_in:
            done = deliver(run_dir, name, options)
    except Busy as error:
        return {"ok": False, "state": f"not sent: {error}", "url": None}
    except Exception as error:  # noqa: BLE001 (a tracker's library may raise anything; the others go on)
        first = (str(error).splitlines() or [""])[0]
        more = f" ({reason})" if reason else ""
        return {"ok": False, "state": f"not sent: {type(error).__name__}: {first}{more}", "url": None}
    return {"ok": True, "state": "sent", "url": done.remote_url}


@contextlib.contextmanager
def _within(run_dir: Path) -> Iterator[None]:
    """In the directory that the run was started in, where it is still there."""
    before = Path.cwd()
    try:
        started_in = Path(read(RunPaths(run_dir).run, RunRecord).cwd or before)
    except RecordError:
        started_in = before
    if started_in.is_dir():
        os.chdir(started_in)
    try:
        yield
    finally:
        os.chdir(before)


def runs_below(places: Sequence[Path]) -> list[Path]:
    """The directories of all runs at and below `places`."""
    found = sorted({Path(one.dir) for one in walk(folders(places)) if one.kind == "run"})
    if not found:
        raise UserError(f"no run below {', '.join(map(str, places))}. Run: repro-hydra list", NO)
    return found
