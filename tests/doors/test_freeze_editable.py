"""The project's own package, installed by a real `pip install -e`: a frozen sweep imports it from its copy."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from doors_project import LIMIT_S, Project, finding_ids, load, result

SCRIPT = """\
from pathlib import Path

import hydra
from own_package import deep


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    if cfg.seed == 0:  # the user, while the sweep runs
        for name in ("deep.py", "late.py"):
            (Path(cfg.sources) / name).write_text("VALUE = 'new'\\n")
    from own_package import late

    print("imported from", deep.__file__, late.__file__)
    return {"deep": deep.VALUE == "old", "late": late.VALUE == "old"}


if __name__ == "__main__":
    main()
"""
HATCHLING = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "own-package"
version = "1"
[tool.hatch.build]
dev-mode-dirs = ["src"]
[tool.hatch.build.targets.wheel]
packages = ["src/own_package"]
"""
SETUPTOOLS = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "own-package"
version = "1"
[tool.setuptools]
packages = ["own_package"]
package-dir = {own_package = "src/own_package"}
"""


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment of its own, which has all that this one has."""
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True, timeout=LIMIT_S
    )
    here, version = sysconfig.get_path("purelib"), f"python{sys.version_info[0]}.{sys.version_info[1]}"
    site = tmp_path / "env/lib" / version / "site-packages"
    (site / "_these.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    return tmp_path / "env/bin/python"


@pytest.mark.parametrize(
    ("build", "leaves"),
    [(HATCHLING, "*own_package.pth"), (SETUPTOOLS, "__editable___own_package*_finder.py")],
)
def test_an_editable_package_is_imported_from_the_copy(
    project: Project, python: Path, build: str, leaves: str
) -> None:
    """By a path, as hatchling installs it, or by an import hook, as setuptools does: the edit is for the next sweep."""
    project.environment = project.environment | {"XDG_CACHE_HOME": str(project.top.parent / "cache")}
    package = {f"src/own_package/{name}.py": "VALUE = 'old'\n" for name in ("__init__", "deep", "late")}
    project.holding(SCRIPT, "seed: 1\nsources: src/own_package\n", **package, **{"pyproject.toml": build})
    with (project.top / ".gitignore").open("a") as ignored:
        ignored.write("*.egg-info/\nbuild/\n")
    project.commit()
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "-q"]
    install = [*pip, "install", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(project.top)]
    done = subprocess.run(install, env=project.environment, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    assert len(list(python.parent.parent.glob(f"lib/*/site-packages/{leaves}"))) == 1

    command = [str(python), "train.py", "-m", "+repro=strict", "seed=0,3", "hydra/launcher=repro"]
    sweep = subprocess.run(
        [*command, "hydra.launcher.start=fresh"],
        cwd=project.top,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert sweep.returncode == 0, sweep.stdout + sweep.stderr
    jobs = [project.sweep() / number for number in ("0", "1")]
    assert [result(job) for job in jobs] == [{"deep": True, "late": True}] * 2
    assert load(jobs[1], "code")["others"] == []  # it is this repository's own code
    assert not any(id_.startswith("undeclared-input") for job in jobs for id_ in finding_ids(job))
    assert sweep.stdout.count("/frozen/") == 4, sweep.stdout
    assert (project.top / "src/own_package/deep.py").read_text() == "VALUE = 'new'\n"
