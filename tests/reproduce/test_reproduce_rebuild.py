"""`repro-hydra reproduce --env rebuild`: the recorded packages, installed anew from an index, give the bits again."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from doors_project import load
from laboratory import SCRIPT, Laboratory, edit, laboratory_in

NEEDED = (
    "hydra-core", "numpy", "msgspec", "blake3", "psutil", "packaging", "threadpoolctl", "platformdirs", "cloudpickle",
    "filelock", "tomlkit", "xxhash",
)  # fmt: skip
"""What the script and a recorded run of it need: a few wheels, and not torch."""
OTHER = "six==1.16.0"
"""The result holds its version; the environment that the tests run in has a later one."""
ROOT = Path(__file__).parents[2]
LIMIT_S = 240


def uv() -> str | None:
    return shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an installer fetched once it need not fetch again; a lab's home is a new one."""
    folder = tmp_path_factory.mktemp("cache")
    return {"UV_CACHE_DIR": str(folder / "uv"), "PIP_CACHE_DIR": str(folder / "pip")}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, cache: dict[str, str]) -> Path:
    """An environment with the wheel of this package, and of the rest only what it takes to run the script."""
    installer = uv()
    if installer is None:
        pytest.skip("uv is not installed")
    folder = tmp_path_factory.mktemp("environment")
    python = folder / "venv/bin/python"

    def call(*command: str | Path, cwd: Path = folder) -> str:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=cwd,
            env={**os.environ, **cache},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
        )
        return "" if done.returncode == 0 else done.stdout + done.stderr

    assert call(installer, "venv", "-q", "--python", sys.executable, folder / "venv") == ""
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in NEEDED]
    trouble = call(installer, "pip", "install", "-q", "--python", python, *wanted, OTHER)
    if trouble:
        pytest.skip(f"no index to install from: {trouble[-300:]}")
    assert call(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT) == ""
    (wheel,) = folder.glob("*.whl")
    assert call(installer, "pip", "install", "-q", "--no-deps", "--python", python, wheel) == ""
    return folder / "venv"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, cache: dict[str, str]) -> Laboratory:
    lab = laboratory_in(tmp_path_factory.mktemp("lab"))
    lab.environment |= cache
    lab.holding(SCRIPT.replace("return {", "import six\n    return {'six': six.__version__, "))
    return lab


@pytest.fixture(scope="module")
def run(lab: Laboratory, environment: Path) -> Path:
    """A run in that environment, which is gone before anything is reproduced."""
    ours, lab.python = lab.python, str(environment / "bin/python")
    made = lab.original("seed=3")
    lab.python = ours
    shutil.rmtree(environment)
    return made


@pytest.fixture
def with_uv(tmp_path: Path) -> str:
    """A PATH that has uv, wherever the tests have it from."""
    installer = uv()
    assert installer is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/uv").symlink_to(installer)
    return f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture
def without_uv() -> str:
    return os.pathsep.join(
        folder for folder in os.environ["PATH"].split(os.pathsep) if not Path(folder, "uv").exists()
    )


def is_rebuilt(document: dict[str, Any], run: Path) -> None:
    """It ran with the packages of the record, in an interpreter that is gone by now."""
    again = Path(document["reproduction"])
    assert next(row for row in document["metrics"] if row["name"] == "six")["reproduced"] == "1.16.0"
    packages = [
        {item["name"]: item["version"] for item in load(one, "environment")["distributions"]}
        for one in (run, again)
    ]
    assert packages[0].pop("repro-hydra")
    assert packages[0] == {name: version for name, version in packages[1].items() if name in packages[0]}
    assert "torch" not in packages[1]
    assert (
        load(again, "data")["coverage"] == load(run, "data")["coverage"]
    )  # what starts with the interpreter does
    interpreters = [load(one, "environment")["interpreter"] for one in (run, again)]
    assert interpreters[0]["version"] == interpreters[1]["version"]
    assert not Path(interpreters[1]["prefix"]).exists()


def test_the_recorded_packages_give_the_recorded_bits(lab: Laboratory, run: Path, with_uv: str) -> None:
    """Here another version of a package is installed, and the verdict says so; rebuilt by uv, the bits are the same."""
    document = lab.reproduce(run)
    assert document["verdict"] == "DIVERGED"
    assert document["causes"][0]["area"] == "environment"
    here = importlib.metadata.version("six")
    assert any(f"six: 1.16.0 in the original, {here} now" in cause["detail"] for cause in document["causes"])
    document = lab.bitwise(run, "--env", "rebuild", PATH=with_uv)
    is_rebuilt(document, run)


@pytest.mark.soak
def test_where_uv_is_missing_pip_does_it(lab: Laboratory, run: Path, without_uv: str) -> None:
    is_rebuilt(lab.bitwise(run, "--env", "rebuild", PATH=without_uv), run)


def test_a_version_that_no_index_has_is_named(
    lab: Laboratory, run: Path, without_uv: str, tmp_path: Path
) -> None:
    """`IMPOSSIBLE`, with the pin in question, here by pip; nothing is left of the attempt."""
    copied = shutil.copytree(run, tmp_path / "copied")
    (six,) = [item for item in load(copied, "environment")["distributions"] if item["name"] == "six"]
    edit(copied / ".repro/environment.json", distributions=[six | {"version": "1.16.99"}])
    document = lab.reproduce(copied, "--env", "rebuild", "--yes", PATH=without_uv)
    assert document["verdict"] == "IMPOSSIBLE"
    assert document["causes"][0]["area"] == "environment"
    assert "six==1.16.99" in document["missing"][0]
