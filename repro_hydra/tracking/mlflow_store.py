"""MLflow's database where there is no server: made whole before anybody sees it.

MLflow creates its tables by a chain of migrations, without a lock and in many transactions (3.17, and the versions
before). Two processes that do it at once, as two jobs of a sweep, or one that is ended amid it, leave a file that no
MLflow ever opens again: "table _alembic_tmp_latest_metrics already exists".
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from urllib.parse import unquote

import platformdirs
from filelock import FileLock

_SQLITE = "sqlite:///"


def make_whole(uri: str) -> None:
    """Create the SQLite file of `uri` where it is not there yet; nothing for any other kind of address.

    Made under another name, by one process at a time, and then given its own in one step: one that is killed amid it
    leaves a file that nobody opens, and the next begins anew.

    Raises
    ------
    Exception
        Whatever MLflow raises where it cannot make it.
    """
    file = sqlite_file(uri)
    if file is None or file.exists():
        return
    from mlflow import MlflowClient

    locks = Path(platformdirs.user_cache_dir("repro-hydra", appauthor=False), "locks")
    locks.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.fsencode(file)).hexdigest()[:32]
    with FileLock(locks / f"mlflow-{name}.lock"):
        if file.exists():
            return
        unfinished = file.with_name(f"{file.name}.new")
        for leftover in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
            leftover.unlink(missing_ok=True)
        MlflowClient(tracking_uri=f"{_SQLITE}{unfinished}").search_experiments(max_results=1)
        try:
            os.link(unfinished, file)
        except FileExistsError:
            pass  # the user's own code was faster, without our lock
        except OSError:  # no hard links here
            if not file.exists():
                unfinished.rename(file)
        unfinished.unlink(missing_ok=True)


def sqlite_file(uri: str) -> Path | None:
    """The absolute path of the file behind a ``sqlite:///`` address; None for any other."""
    path = unquote(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else ""
    return Path(path).absolute() if path and ":memory:" not in path else None
