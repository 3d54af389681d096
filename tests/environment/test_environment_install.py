"""The exports used for real: pip and uv install them from an index, and the new environment verifies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = (
    "typer", "msgspec", "blake3", "psutil", "packaging", "threadpoolctl", "platformdirs", "tomlkit", "filelock",
)  # fmt: skip
"""All that `repro-hydra env` itself needs: a few small wheels."""
ROOT = Path(__file__).parents[2]
LIMIT_S = 300


def call(*command: str | Path, env: dict[str, str] | None = None, status: int | None = 0) -> str:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "REPRO_")) and name != "VIRTUAL_ENV"
    }
    done = subprocess.run(
        [str(part) for part in command],
        env=clean | (env or {}),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    assert status is None or done.returncode == status, done.stdout + done.stderr
    return done.stdout if status is not None else f"{done.returncode}\n{done.stderr}"


def hydra(venv: Path, *arguments: str | Path, status: int = 0) -> str:
    """This package, run by the interpreter of `venv`, with that environment's packages and no others."""
    return call(
        venv / "bin/python",
        "-m",
        "repro_hydra",
        "env",
        *arguments,
        env={"PYTHONPATH": str(ROOT)},
        status=status,
    )


def new_venv(path: Path, *, pip: bool = False) -> Path:
    """Without pip it is made in a fifth of the time; the pip of another environment installs into it."""
    call(sys.executable, "-m", "venv", *(() if pip else ("--without-pip",)), path)
    return path


def pip_for(venv: Path, locked: Path) -> list[str | Path]:
    return [locked / "original/bin/python", "-m", "pip", "--python", venv / "bin/python"]


def only_pip_differs(verdict: str) -> bool:
    """The new environments are made without pip, which only installs others."""
    document = json.loads(verdict)
    return document["ok"] and {item["id"] for item in document["findings"]} <= {
        "environment-differs:packages.pip"
    }


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a lock of a small environment, and its exports."""
    folder = tmp_path_factory.mktemp("locked")
    venv = new_venv(folder / "original", pip=True)
    versions = [f"{name}=={_version(name)}" for name in PACKAGES]
    said = call(venv / "bin/pip", "install", "-q", "--retries", "1", *versions, status=None)
    if not said.startswith("0"):
        pytest.skip(f"no index to install from: {said.strip()[-300:]}")
    hydra(venv, "snapshot", "--online", "-o", folder / "lock.json")
    for form, name in (("requirements", "requirements.txt"), ("pylock", "pylock.toml")):
        hydra(venv, "export", "--format", form, "--from", folder / "lock.json", "-o", folder / name)
    return folder


def _version(name: str) -> str:
    import importlib.metadata

    return importlib.metadata.version(name)


def test_pip_installs_the_requirements_and_the_environment_verifies(locked: Path) -> None:
    """With its hashes required; then something is changed, and `env verify` barks."""
    venv = new_venv(locked / "by-pip")
    requirements = locked / "requirements.txt"
    assert requirements.read_text().count("--hash=sha256:") >= len(PACKAGES)
    pip = pip_for(venv, locked)
    call(*pip, "install", "-q", "--no-deps", "--require-hashes", "-r", requirements)
    assert only_pip_differs(hydra(venv, "verify", "--json", locked / "lock.json"))
    call(*pip, "uninstall", "-q", "-y", "filelock")
    document = json.loads(hydra(venv, "verify", "--json", locked / "lock.json", status=1))
    assert [item["id"] for item in document["findings"] if item["severity"] == "blocks"] == [
        "environment-differs:packages.filelock"
    ]
    tampered = locked / "tampered.txt"
    tampered.write_text(requirements.read_text().replace("--hash=sha256:", "--hash=sha256:00", 1))
    call(*pip, "install", "-q", "--no-deps", "--force-reinstall", "-r", tampered, status=1)


def test_uv_and_pip_install_the_pylock(locked: Path) -> None:
    """PEP 751, by the two installers that take it."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        pytest.skip("uv is not installed")
    venv = locked / "by-uv"
    call(uv, "venv", "-q", "--python", sys.executable, venv)
    call(uv, "pip", "sync", "-q", "--python", venv / "bin/python", locked / "pylock.toml")
    assert only_pip_differs(hydra(venv, "verify", "--json", locked / "lock.json"))
    # uv asks the index as pip does, where it is what installed the environment
    hydra_env = {"PYTHONPATH": str(ROOT), "PATH": f"{Path(uv).parent}{os.pathsep}{os.environ['PATH']}"}
    call(
        venv / "bin/python", "-m", "repro_hydra", "env", "snapshot", "--online", "-o", locked / "by-uv.json",
        env=hydra_env,
    )  # fmt: skip
    by_pip = json.loads((locked / "lock.json").read_text())["artifacts"]
    by_uv = json.loads((locked / "by-uv.json").read_text())["artifacts"]
    for name in PACKAGES:
        hashes = {item["hashes"]["sha256"] for item in by_uv[name]}
        assert {item["hashes"]["sha256"] for item in by_pip[name]} <= hashes
    again = new_venv(locked / "by-pip-again")
    call(uv, "pip", "install", "-q", "--python", locked / "original/bin/python", "pip>=26.1")
    call(*pip_for(again, locked), "install", "-q", "-r", locked / "pylock.toml")
    assert only_pip_differs(hydra(again, "verify", "--json", locked / "lock.json"))
