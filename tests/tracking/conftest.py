"""Records to be sent, and a real MLflow server to send them to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tracked import SCRIPT

START_LIMIT_S = 120


class Server:
    """``mlflow server`` on loopback, with its database in a folder: it can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db",
            "--artifacts-destination", str(self._folder / "artifacts"),
        ]  # fmt: skip
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self._folder, start_new_session=True
            )
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except OSError:
                assert self._process.poll() is None, (self._folder / "log").read_text()[-2000:]
                time.sleep(0.2)
        raise AssertionError("the MLflow server did not start")

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("mlflow")
    served = Server(tmp_path_factory.mktemp("mlflow"))
    served.start()
    yield served
    served.kill()


@pytest.fixture(scope="session")
def swept(server: Server, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The experiment that a sweep of four jobs was sent to; two of them failed."""
    folder, experiment = tmp_path_factory.mktemp("swept"), "sweep"
    (folder / "train.py").write_text(SCRIPT)
    options = {"uri": server.uri, "experiment": experiment, "wait_s": 120}
    tracking = [f"hydra.callbacks.repro.tracking.mlflow.{name}={value}" for name, value in options.items()]
    command = [
        *(sys.executable, "train.py", "-m", "+repro=standard", "+repro/tracking=mlflow", *tracking),
        *("+seed=1,2", "+fail=0,1", "hydra/launcher=repro", "hydra.launcher.n_jobs=2"),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=390)
    assert done.returncode == 1, done.stderr
    return experiment
