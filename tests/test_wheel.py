"""The wheel, installed by itself: what a user's environment gets, without this checkout beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[1]
LIMIT_S = 120

SCRIPT = """\
import hydra, numpy as np


@hydra.main(version_base=None, config_path=None)
def main(cfg):
    return float(np.random.rand())


main()
"""


def run(command: list[str], cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(("PYTHON", "REPRO_HYDRA_", "PYTEST_", "GIT_", "OMP_", "MKL_"))
    }
    git = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org"}
    git |= {"GIT_COMMITTER_NAME": "A", "GIT_COMMITTER_EMAIL": "a@example.org"}
    return subprocess.run(command, cwd=cwd, env=clean | git, capture_output=True, text=True, timeout=LIMIT_S)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # Hatchling itself, which `pip wheel` would call in an environment of its own, fetched from the network.
    done = run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], ROOT)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter whose environment holds the wheel, and the dependencies of this one's by reference."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    inside = run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder
    ).stdout.strip()
    with zipfile.ZipFile(wheel) as archive:  # a pure wheel is installed by being unpacked
        archive.extractall(inside)
    # Of a folder that a .pth names no further .pth is read: this checkout's own editable install stays out.
    (Path(inside) / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / ".gitignore").write_text("outputs/\nmultirun/\n")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        assert run(["git", *command], tmp_path).returncode == 0
    return tmp_path


def test_it_holds_the_package_and_the_plugin(wheel: Path) -> None:
    """And nothing else at its top that would land in everybody's environment, but for the start-up file."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "hydra_plugins/repro_hydra_plugin/config.py" in names
    assert "hydra_plugins/__init__.py" not in names
    assert "repro_hydra/py.typed" in names
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        *("repro_hydra", "hydra_plugins", "repro_hydra_inputs.pth")
    }


def test_a_script_that_knows_nothing_of_it_gets_a_strict_run(python: Path, project: Path) -> None:
    where = run([str(python), "-c", "import repro_hydra; print(repro_hydra.__file__)"], project).stdout
    assert Path(where).is_relative_to(python.parents[1]), "the checkout's own package was imported"
    done = run([str(python), "train.py", "+repro=strict", "+seed=3"], project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "upheld: yes" in done.stderr
    assert len(list(project.glob("outputs/*/*/.repro/run.json"))) == 1


def test_a_sweep_works_and_without_repro_there_is_no_record(python: Path, project: Path) -> None:
    done = run([str(python), "train.py", "-m", "+repro=strict", "+seed=1,2"], project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(project.glob("multirun/*/*/*/.repro/run.json"))) == 2
    done = run([str(python), "train.py", "+seed=3"], project)
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(project.glob("outputs/*/*/.repro"))
