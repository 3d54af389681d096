"""`repro_hydra.session.joblog`: JSON lines beside the text log, and nothing left behind."""

from __future__ import annotations

import json
import logging
import multiprocessing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import repro_hydra
from repro_hydra.config import LogFormat, LoggingConf, LogLevel
from repro_hydra.session.joblog import JobLog

JSON = LoggingConf(format=LogFormat.json, steps=True)


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger at INFO, as Hydra has it, and as it was afterwards."""
    logger = logging.getLogger()
    before = logger.level, list(logger.handlers)
    logger.setLevel(logging.INFO)
    yield logger
    assert (logger.level, logger.handlers) == (logging.INFO, before[1])
    logger.setLevel(before[0])


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "train.log.jsonl").read_text().splitlines()]


def test_each_record_is_a_line(root: logging.Logger, tmp_path: Path) -> None:
    """Newlines, exceptions and what JSON has no type for included; secrets are not."""
    with JobLog(JSON, tmp_path, "train") as log:
        logging.getLogger("user").warning("two\nlines %s", "api_key=hunter2hunter2")
        try:
            raise ValueError("broken")
        except ValueError:
            logging.getLogger("user").exception("failed")
        log.step("metrics", {"step": 3, "loss": float("nan"), "path": tmp_path})
        logging.getLogger("user").debug("below the level")
    logging.getLogger("user").warning("after the end")
    warned, failed, stepped = lines(tmp_path)
    assert warned["message"].startswith("two\nlines ")
    assert "hunter2" not in json.dumps(warned)
    assert (warned["level"], warned["logger"]) == ("WARNING", "user")
    assert "ValueError: broken" in failed["exception"]
    assert stepped["data"] == {"step": 3, "loss": "NaN", "path": str(tmp_path)}
    assert stepped["time"].endswith("Z")


def test_a_level_holds_for_the_job(root: logging.Logger, tmp_path: Path) -> None:
    options = LoggingConf(level=LogLevel.ERROR, format=LogFormat.json)
    with JobLog(options, tmp_path, "train"):
        logging.getLogger("user").warning("not now")
        logging.getLogger("user").error("now")
    assert [line["message"] for line in lines(tmp_path)] == ["now"]


def test_without_times_two_logs_are_equal(root: logging.Logger, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with JobLog(LoggingConf(format=LogFormat.json, timestamps=False), tmp_path / name, "train"):
            logging.getLogger("user").info("the same")
    assert lines(tmp_path / "a") == lines(tmp_path / "b") != []


def test_without_times_hydras_text_has_none(root: logging.Logger, tmp_path: Path) -> None:
    """And has them again afterwards."""
    handler = logging.FileHandler(tmp_path / "train.log")
    formatter = logging.Formatter("[%(asctime)s][%(name)s] - %(message)s")
    handler.setFormatter(formatter)
    root.addHandler(handler)
    try:
        with JobLog(LoggingConf(timestamps=False), tmp_path, "train"):
            logging.getLogger("user").info("said")
    finally:
        root.removeHandler(handler)
        handler.close()
    assert (tmp_path / "train.log").read_text() == "[user] - said\n"
    assert handler.formatter is formatter


def test_text_alone_writes_no_file(root: logging.Logger, tmp_path: Path) -> None:
    with JobLog(LoggingConf(), tmp_path, "train") as log:
        log.step("seeded", {"seed": 3})
    assert list(tmp_path.iterdir()) == []


def _work(number: int) -> None:
    for _ in range(200):
        logging.getLogger("worker").info("from %d %s", number, "x" * 500)


def test_forked_workers_share_the_file(root: logging.Logger, tmp_path: Path) -> None:
    """No line is torn."""
    with JobLog(JSON, tmp_path, "train"):
        workers = [multiprocessing.get_context("fork").Process(target=_work, args=(n,)) for n in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len(lines(tmp_path)) == 600


def test_a_session_logs_its_steps(root: logging.Logger, tmp_path: Path) -> None:
    """Seeds, each line of metrics, findings, the end."""
    with repro_hydra.session(
        {"seed": 3},
        run_dir=tmp_path,
        mode="record",
        name="train",
        options={"logging": {"format": "json", "steps": True}},
    ) as run:
        run.log_metrics({"loss": 0.5})
    written = [json.loads(line) for line in next(tmp_path.glob("*.log.jsonl")).read_text().splitlines()]
    found = [line for line in written if not line["message"].startswith("finding")]  # a checkout may be dirty
    assert [line["message"].split(":")[0] for line in found] == ["the run begins", "metrics", "the run ends"]
    assert found[1]["data"] == {"step": 0, "metric.loss": 0.5}
    assert found[2]["data"]["status"] == "completed"
