"""What can be asked of a recorded run by name: ``status``, ``config.optimizer.lr``, ``result.loss``, ``code.tree``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from repro_hydra.record.schema import JSON

SCALARS = (
    "status",
    "upheld",
    "mode",
    "seed",
    "name",
    "tags",
    "run_id",
    "dir",
    "created_at",
    "started_at",
    "duration_s",
)
"""The names that stand for a field of the run; ``config.…``, ``result.…`` and those of files come on top."""
RUN_FIELDS = tuple(name for name in SCALARS if name not in ("status", "dir"))
"""Those of them that ``run.json`` has under that very name."""
FILES = ("run", "code", "environment", "determinism", "data")
"""Files of a record, whose every value can be asked for: ``run.peak_memory_bytes``, ``code.commit``."""
SPACES = ("config", "result", *FILES)
OUTCOMES = frozenset({"result", "run", "status", "upheld", "duration_s"})
"""What is known only once a run was made: a selection by it is no fair sample of the seeds."""


class Absent:
    """What a run does not have, which is not null."""


ABSENT = Absent()


@dataclass(frozen=True, slots=True)
class RunValues:
    """What an expression can ask of one run."""

    fields: Mapping[str, JSON]
    config: Mapping[str, JSON] = field(default_factory=dict)
    """Leaves by dotted key."""
    result: Mapping[str, JSON] = field(default_factory=dict)
    file: Callable[[str], Mapping[str, JSON]] | None = None
    """The leaves of one of `FILES`, read when they are asked for."""

    def get(self, name: str) -> JSON:
        """What `name` stands for; None where the run does not have it."""
        value = self.look_up(name)
        return None if value is ABSENT else value

    def look_up(self, name: str) -> Any:
        """As `get`; `ABSENT` where the run does not have it, and None where it has null."""
        space, _, key = name.partition(".")
        if space == "config":
            return self.config.get(key, ABSENT)
        if space == "result":
            return self.result.get(key, ABSENT)
        if space in FILES and key:
            return self.file(space).get(key, ABSENT) if self.file is not None else ABSENT
        value = self.fields.get(name)
        return ABSENT if value is None and name not in ("seed", "name") else value


def is_name(text: str) -> bool:
    """Whether `text` can stand for a value of a run."""
    first, _, rest = text.partition(".")
    return text in SCALARS or (first in SPACES and bool(rest))
