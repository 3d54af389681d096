"""In a job's process the frozen copy stands in for the user's tree, by whatever way a module is found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import importlib, json, os, sys
from pathlib import Path

folder, tree, top = sys.argv[1:]
from repro_hydra.code.frozen_tree import FrozenTree
from repro_hydra.launcher.stand_in import enter
from repro_hydra.program import Program

sys.path.append(f"{top}/by_path")
sys.path.insert(0, "")
import __editable___mapped_finder as static
static.install()
import by_own_finder
sys.meta_path.insert(0, by_own_finder.Finder())
import imported_before

program = Program(kind="script", target=f"{top}/train.py", argv0="train.py", cwd=top, path0=top)
program, argv = enter(FrozenTree(folder=folder, tree=tree, top=top), program, ["train.py", "seed=1"], top)
sys.path.insert(0, os.getcwd() + "/by_cwd")
sys.path.append("by_relative")
names = ["a_path", "a_cwd", "a_relative", "mapped", "mapped.sub", "found", "space.inner", "imported_before", "outside"]
print(json.dumps({
    "files": {name: importlib.import_module(name).__file__ for name in names},
    "program": [program.target, program.path0, program.cwd], "argv": argv, "path0": sys.path[0],
    "search": os.environ["PYTHONPATH"], "new": importlib.util.find_spec("only_in_the_tree") is None,
    "numpy": "site-packages" in importlib.import_module("numpy").__file__,
}))
"""
OWN_FINDER = """
import importlib.util
PLACE = {place!r}
class Finder:
    def find_spec(self, name, path=None, target=None):
        return importlib.util.spec_from_file_location(name, PLACE) if name == "found" else None
"""


def test_every_way_to_a_module_leads_to_the_copy(tmp_path: Path) -> None:
    """Paths of the interpreter's start and later ones, setuptools' finder, somebody's own; nothing else is moved."""
    from setuptools.command.editable_wheel import _finder_template

    top, tree, more = tmp_path / "project", tmp_path / "frozen/project", tmp_path / "more"
    modules = [
        "train.py", "by_path/a_path.py", "by_cwd/a_cwd.py", "by_relative/a_relative.py", "src/mapped/__init__.py",
        "src/mapped/sub.py", "odd/found.py", "by_path/space/inner.py", "before/imported_before.py",
    ]  # fmt: skip
    for root in (top, tree):
        for module in modules:
            (root / module).parent.mkdir(parents=True, exist_ok=True)
            (root / module).write_text("")
    (top / "by_path/only_in_the_tree.py").write_text("")
    (top / "linked").mkdir()
    (tree / "linked").symlink_to(top / "linked")
    more.mkdir()
    (more / "outside.py").write_text("")
    (more / "__editable___mapped_finder.py").write_text(
        _finder_template("mapped", {"mapped": str(top / "src/mapped")}, {})
    )
    (more / "by_own_finder.py").write_text(OWN_FINDER.format(place=str(top / "odd/found.py")))
    search = [str(more), str(top / "before"), str(top / "linked")]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "frozen"), str(tree), str(top)],
        cwd=top,
        env={"PYTHONPATH": ":".join(search), "PATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    files = answer["files"]
    assert files.pop("imported_before") == f"{top}/before/imported_before.py"
    assert files.pop("outside") == f"{more}/outside.py"
    assert files == {
        "a_path": f"{tree}/by_path/a_path.py",
        "a_cwd": f"{tree}/by_cwd/a_cwd.py",
        "a_relative": f"{tree}/by_relative/a_relative.py",
        "mapped": f"{tree}/src/mapped/__init__.py",
        "mapped.sub": f"{tree}/src/mapped/sub.py",
        "found": f"{tree}/odd/found.py",
        "space.inner": f"{tree}/by_path/space/inner.py",
    }
    assert answer["program"] == [f"{tree}/train.py", str(tree), str(top)]
    assert answer["argv"] == [f"{tree}/train.py", "seed=1"]
    assert answer["search"] == f"{more}:{tree}/before:{top}/linked"
    assert answer["new"] is True
    assert answer["numpy"] is True
