"""The rooms of the package: an import only ever points downward, and the concerns of a job do not know each other."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import repro_hydra

PACKAGE = Path(repro_hydra.__file__).parent
ROOMS = (
    {"cli", "report", "doctor", "check"},  # people
    {"launcher", "callback"},  # Hydra's two doors
    {"reproduce", "explain", "sweep", "crate", "prune", "repeats"},  # what is done with records
    {"session"},  # a job's life
    {
        "seed", "determinism", "code", "environment", "data", "tracking", "checkpoint", "fingerprint", "inputs",
        "audit", "model",
    },
    {"record", "stats"},  # plain data and plain mathematics
)  # fmt: skip
CONCERNS = 4
FLOOR = {room: number for number, rooms in enumerate(ROOMS) for room in rooms}
ANYWHERE = "check.inside"
"""Part of `check`, and loaded by each interpreter of one: it knows nothing of the package above."""


def imported(source: str) -> Iterator[str]:
    """The modules of this package that `source` imports, at its top or late."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def upward(room: str, source: str) -> list[str]:
    """What a module in `room` must not import."""
    found = []
    for name in imported(source):
        package, _, inside = name.partition(".")
        target = inside.partition(".")[0]
        if package != "repro_hydra" or target == room or inside.startswith(ANYWHERE):
            continue
        if room in FLOOR and target in FLOOR:
            above = FLOOR[target] < FLOOR[room]
            if above or FLOOR[room] == FLOOR[target] == CONCERNS:
                found.append(name)
    return found


def test_no_import_points_upward() -> None:
    """Those within functions count too: an arrow is one whenever it is followed."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if names := upward(room, path.read_text(encoding="utf-8")):
            found[str(path.relative_to(PACKAGE))] = names
    assert found == {}


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("record", "from repro_hydra.session.say import say"),
        ("record", "def late():\n    import repro_hydra.cli.app"),
        ("seed", "from repro_hydra import determinism"),
        ("session", "from repro_hydra.launcher import task"),
    ],
)
def test_an_arrow_upward_is_seen(room: str, source: str) -> None:
    """Also a late one, one by `import`, and one from a concern to its neighbour."""
    assert upward(room, source)


def test_an_arrow_downward_is_none() -> None:
    assert (
        upward("session", "from repro_hydra.seed import choose_seeds\nimport repro_hydra.record.schema") == []
    )
    assert upward("launcher", "from repro_hydra.check.inside.start import VARIABLE") == []


def test_every_room_has_its_place() -> None:
    """A new package is put into the table above by whoever makes it."""
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert rooms <= FLOOR.keys()


def test_no_two_modules_of_the_tests_have_one_name() -> None:
    """Their folders are no packages: of two that are called alike, one would be imported in the other's place."""
    tests = Path(__file__).resolve().parent
    names = Counter(
        path.name
        for path in tests.rglob("*.py")
        if "cases" not in path.relative_to(tests).parts and path.name != "conftest.py"
    )
    assert [name for name, count in names.items() if count > 1] == []
