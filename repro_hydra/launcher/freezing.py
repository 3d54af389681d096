"""What keeps the code of a sweep what it was when the sweep began: a frozen copy, or a look before each job."""

from __future__ import annotations

import os
import time
from pathlib import Path

from repro_hydra.code.copying import OwnedTree
from repro_hydra.code.freeze import FreezeError, Owner, freeze
from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.code.git import GitError, GitUnavailableError
from repro_hydra.code.release import release
from repro_hydra.code.unfrozen import code_at_start
from repro_hydra.config import CodeConf
from repro_hydra.record.code import CodeRecord
from repro_hydra.record.paths import SweepPaths
from repro_hydra.record.schema import Finding
from repro_hydra.record.times import utc_now
from repro_hydra.session.plan import SweepPlace
from repro_hydra.session.say import say

_APP = "repro-hydra"


def frozen_place(freeze_dir: str | None) -> Path:
    """Where the copies of sweeps lie: outside every work tree, and where the nodes of a cluster see it."""
    if freeze_dir is not None:
        return Path(freeze_dir).expanduser().absolute()
    import platformdirs  # 15 ms, once a sweep

    return Path(platformdirs.user_cache_dir(_APP, appauthor=False), "frozen")


def freeze_sweep(code: CodeRecord, options: CodeConf, sweep: SweepPlace) -> FrozenTree:
    """The copy for this sweep's jobs.

    Raises
    ------
    FreezeError
        It cannot be made, or there is no snapshot to make it from.
    """
    if code.snapshot is None:
        raise FreezeError("code.freeze: expected a snapshot to freeze, found that none could be kept")
    assert code.repository is not None
    assert code.tree is not None
    owner = Owner(
        sweep_id=sweep.sweep_id,
        sweep_dir=sweep.sweep_dir,
        host=sweep.host,
        pid=sweep.pid,
        pid_started_at=sweep.pid_started_at,
        created_at=utc_now(),
        top=code.repository,
        tree_id=code.tree,
        commit=code.commit,
        branch=code.branch,
        others=_others(code, Path(code.repository)),
    )
    return freeze(owner, frozen_place(options.freeze_dir), environ=os.environ)


def _others(code: CodeRecord, top: Path) -> list[OwnedTree]:
    """The other repositories with a snapshot, and the submodules whose commit a remote has."""
    kept = [
        OwnedTree(top=other.repository, tree_id=other.snapshot, commit=other.commit, branch=other.branch)
        for other in code.others
        if other.repository is not None and other.snapshot is not None
    ]
    known = {other.top for other in kept}
    clean = [
        OwnedTree(top=str(top / module.path), tree_id=module.commit, commit=module.commit, branch=None)
        for module in code.submodules
        if module.dirty is False and str(top / module.path) not in known
    ]
    return [*kept, *clean]


def not_frozen(reason: str) -> Finding:
    """The sweep's copy of the code could not be made."""
    return Finding(id="sweep-not-frozen", severity="blocks", message=reason)


def remember_code(code: CodeRecord, paths: SweepPaths) -> Path | None:
    """Note the files of a sweep that runs in place; None where git cannot be asked, which its findings tell."""
    assert code.repository is not None
    assert code.tree is not None
    paths.queue.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        at_start = code_at_start(Path(code.repository), code.tree, time.time_ns(), environ=os.environ)
        at_start.save(paths.code_at_start)
    except (OSError, GitError, GitUnavailableError) as error:
        say(f"whether the code changes while the sweep lasts cannot be told: {error}")
        return None
    return paths.code_at_start


def release_sweep(frozen: FrozenTree, paths: SweepPaths) -> None:
    """Remove the copy, and tell where the files are that jobs wrote into it."""
    try:
        released = release(frozen, paths.left)
    except OSError as error:
        say(
            f"{frozen.folder}: the sweep's copy of the code could not be removed ({error}). Run: repro-hydra prune"
        )
        return
    for path in released.moved:
        say(f"{path}: written beside the script by a job, and moved there from the sweep's copy of the code")
    for path in released.kept:
        say(f"{path}: written by a job over code of the sweep, which stays as it was; kept here")
