"""MLflow's own page, in a real browser, shows a sweep with its jobs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from browser import LOAD_LIMIT_S, browser, skip_without_browser
from test_mlflow import client

pytestmark = pytest.mark.long

skip_without_browser()
pytest.importorskip("mlflow")


def test_the_page_shows_the_sweep_with_its_jobs(server: Any, swept: str, tmp_path: Path) -> None:
    """The parent, and, opened, a row for each job with its metric."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    experiment = client(server).get_experiment_by_name(swept).experiment_id
    with browser(tmp_path / "profile", width=1400, height=900) as driver:
        driver.get(f"{server.uri}/#/experiments/{experiment}/runs")
        wait = WebDriverWait(driver, LOAD_LIMIT_S)
        wait.until(lambda d: "-sweep-" in d.find_element(By.TAG_NAME, "body").text)
        parent = driver.find_element(By.PARTIAL_LINK_TEXT, "-sweep-")
        cell = parent.find_element(By.XPATH, "./ancestor::*[@role='gridcell'][1]")
        cell.find_element(By.CSS_SELECTOR, "button").click()  # the plus before the name
        wait.until(lambda d: len(rows(d)) == 5)
        names = rows(driver)
        picture = os.environ.get("REPRO_HYDRA_PICTURES")  # a folder, for whoever wants to look at it
        if picture:
            driver.save_screenshot(str(Path(picture) / "mlflow.png"))
    assert "-sweep-" in names[0]
    asked = {run.info.run_name for run in client(server).search_runs([experiment])}
    assert set(names) == asked


def rows(driver: Any) -> list[str]:
    """The names of the runs in the page's table, from top to bottom."""
    from selenium.webdriver.common.by import By

    links = driver.find_elements(By.CSS_SELECTOR, "[role='gridcell'] a")
    return [link.text for link in links if link.text.startswith("train-")]
