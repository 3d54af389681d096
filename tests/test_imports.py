"""`repro_hydra.imports`: actions that wait for a library, with real modules on the import path."""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from repro_hydra.imports import LateImports, is_imported

_numbers = itertools.count()
MakeModule = Callable[..., str]


@pytest.fixture
def late() -> Iterator[LateImports]:
    late = LateImports()
    late.install()
    yield late
    late.remove()


@pytest.fixture
def make_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeModule]:
    """Writes a module of a name nobody used before, and gives the name."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def make(source: str = "value = 1\n") -> str:
        name = f"late_example_{next(_numbers)}"
        Path(tmp_path, f"{name}.py").write_text(source)
        importlib.invalidate_caches()
        return name

    yield make
    for name in set(sys.modules) - before:
        if name.startswith("late_example_"):
            del sys.modules[name]


def test_action_runs_once_after_the_first_import(late: LateImports, make_module: MakeModule) -> None:
    """The action waits for the import, finds the module whole, and does not run for a second import."""
    name = make_module()
    seen: list[int] = []
    late.when_imported(name, lambda: seen.append(sys.modules[name].value))
    assert seen == []
    importlib.import_module(name)
    importlib.import_module(name)
    assert seen == [1]


def test_action_runs_at_once_for_an_imported_module(late: LateImports, make_module: MakeModule) -> None:
    """What is imported already needs no waiting, and is not acted upon again."""
    name = make_module()
    importlib.import_module(name)
    seen: list[str] = []
    late.when_imported(name, lambda: seen.append(name))
    importlib.reload(sys.modules[name])
    assert seen == [name]


def test_action_runs_when_another_module_imports_it(late: LateImports, make_module: MakeModule) -> None:
    """It does not matter who imports the library: the importing module finds it acted upon."""
    inner = make_module("setting = 'free'\n")
    outer = make_module(f"from {inner} import setting\n")
    late.when_imported(inner, lambda: setattr(sys.modules[inner], "setting", "in force"))
    assert importlib.import_module(outer).setting == "in force"


def test_every_action_of_a_module_runs_in_order(late: LateImports, make_module: MakeModule) -> None:
    """Actions run in the order they were given in, one given by an action included."""
    name = make_module()
    seen: list[str] = []

    def first() -> None:
        seen.append("first")
        late.when_imported(name, lambda: seen.append("from an action"))

    late.when_imported(name, first)
    late.when_imported(name, lambda: seen.append("second"))
    importlib.import_module(name)
    assert sorted(seen) == ["first", "from an action", "second"]
    assert seen.index("first") < seen.index("second")


def test_the_module_counts_as_imported_for_its_action(late: LateImports, make_module: MakeModule) -> None:
    """An action that asks whether its library is there is told so; else a seed could not be read back."""
    name = make_module()
    seen: list[bool] = []
    late.when_imported(name, lambda: seen.append(is_imported(name)))
    importlib.import_module(name)
    assert seen == [True]
    assert is_imported(name)


def test_a_module_halfway_through_its_import_is_not_imported(make_module: MakeModule) -> None:
    """A library that is still executing has not all its parts."""
    name = make_module(
        "import sys\nfrom repro_hydra.imports import is_imported\nwhole = is_imported(__name__)\n"
    )
    assert importlib.import_module(name).whole is False
    assert is_imported(name)
    assert not is_imported("a_module_that_nobody_has")


def test_a_search_uses_no_action_up(late: LateImports, make_module: MakeModule) -> None:
    """`importlib.util.find_spec`, by which libraries look what there is, imports nothing and loses nothing."""
    name = make_module()
    seen: list[str] = []
    late.when_imported(name, lambda: seen.append(name))
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.loader is not None
    assert spec.loader.get_filename(name).endswith(f"{name}.py")  # the loader answers like the module's own
    assert seen == []
    importlib.import_module(name)
    assert seen == [name]


def test_an_import_that_failed_loses_no_action(
    late: LateImports, make_module: MakeModule, tmp_path: Path
) -> None:
    """The action does not run for a module whose code raises, and does when a later import succeeds."""
    name = make_module("import os\nif not os.path.exists(__file__ + '.ready'): raise OSError('no device')\n")
    seen: list[str] = []
    late.when_imported(name, lambda: seen.append(name))
    with pytest.raises(OSError, match="no device"):
        importlib.import_module(name)
    assert seen == []
    Path(tmp_path, f"{name}.py.ready").touch()
    importlib.import_module(name)
    assert seen == [name]


def test_a_module_that_is_not_there_stays_so(late: LateImports) -> None:
    """Waiting for a library that is not installed changes nothing about its ImportError."""
    late.when_imported("late_example_of_nothing", pytest.fail)
    with pytest.raises(ModuleNotFoundError, match="late_example_of_nothing"):
        importlib.import_module("late_example_of_nothing")


def test_an_action_that_raises_fails_the_import_each_time(late: LateImports, make_module: MakeModule) -> None:
    """A setting that could not be made cannot be lost by importing the library again."""
    name = make_module()

    def refuse() -> None:
        raise RuntimeError("cannot be set")

    late.when_imported(name, refuse)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="cannot be set"):
            importlib.import_module(name)
        assert not is_imported(name)


def test_nothing_runs_after_removal(make_module: MakeModule) -> None:
    """A session that ended acts no more, on an import or through a spec that was found before."""
    late = LateImports()
    late.install()
    name = make_module()
    late.when_imported(name, pytest.fail)
    spec = importlib.util.find_spec(name)
    late.remove()
    late.remove()  # and may be removed twice
    assert late not in sys.meta_path
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert importlib.import_module(name).value == 1


def test_the_module_keeps_its_own_loader(late: LateImports, make_module: MakeModule) -> None:
    """Libraries read sources and data through `__loader__` and `__spec__.loader`: both are what they were."""
    name, plain = make_module(), make_module()
    late.when_imported(name, lambda: None)
    watched, unwatched = importlib.import_module(name), importlib.import_module(plain)
    assert type(watched.__loader__) is type(unwatched.__loader__)
    assert type(watched.__spec__.loader) is type(unwatched.__spec__.loader)


def test_a_submodule_is_waited_for_alone(
    late: LateImports, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Importing the package does not run what waits for a module in it."""
    package = Path(tmp_path, "late_example_package")
    package.mkdir()
    Path(package, "__init__.py").touch()
    Path(package, "part.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[str] = []
    late.when_imported("late_example_package.part", lambda: seen.append("part"))
    try:
        importlib.import_module("late_example_package")
        assert seen == []
        importlib.import_module("late_example_package.part")
        assert seen == ["part"]
    finally:
        for name in ("late_example_package", "late_example_package.part"):
            sys.modules.pop(name, None)


def test_an_import_in_another_thread_is_waited_for(late: LateImports, make_module: MakeModule) -> None:
    """A library that a thread is importing already is past our finder: its end is waited for, then the action runs."""
    name = make_module("import builtins\nbuiltins.late_example_gate()\nvalue = 2\n")
    begun, go_on = threading.Event(), threading.Event()

    def gate() -> None:
        begun.set()
        assert go_on.wait(30)

    import builtins

    builtins.late_example_gate = gate  # type: ignore[attr-defined]
    seen: list[int] = []
    thread = threading.Thread(target=importlib.import_module, args=(name,))
    waiter = threading.Thread(
        target=late.when_imported, args=(name, lambda: seen.append(sys.modules[name].value))
    )
    try:
        thread.start()
        assert begun.wait(30)
        waiter.start()
        waiter.join(0.05)
        assert seen == []
    finally:
        go_on.set()
        thread.join(30)
        waiter.join(30)
        del builtins.late_example_gate  # type: ignore[attr-defined]
    assert seen == [2]
