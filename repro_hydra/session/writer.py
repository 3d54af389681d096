"""How a process becomes the one that writes into a directory, also where nothing can keep a second one out."""

from __future__ import annotations

from repro_hydra.record.schema import Finding
from repro_hydra.session.lock import NO_LINKS, WriterLock
from repro_hydra.session.say import say


def become_writer(lock: WriterLock) -> Finding | None:
    """Acquire `lock`, and say whom it was taken over from.

    Returns
    -------
    Finding or None
        Where the file system has no hard links, so that nothing keeps a second process out.

    Raises
    ------
    Held
        Another process writes there.
    OSError
        The directory cannot be written to.
    """
    try:
        lock.acquire()
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        message = (
            f"{lock.directory}: nothing keeps a second process from writing there, since its file system has no "
            f"hard links ({error.strerror})"
        )
        return Finding(id="no-writer-lock", severity="blocks", message=message)
    if lock.replaced is not None:
        say(f"{lock.directory}: taken over from {lock.replaced}")
    return None
