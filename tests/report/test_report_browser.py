"""The page in a real Chromium without a screen: it renders, asks nothing of the network, and fits a telephone."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import browser, skip_without_browser
from report_tree import make_sweep, reproduce

skip_without_browser()

TELEPHONE, DESKTOP = 390, 1280
LIGHT, DARK = (255, 255, 255), (20, 22, 26)


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from repro_hydra.cli import report
    from repro_hydra.sweep.measuring import Options

    top = tmp_path_factory.mktemp("page")
    sweep = make_sweep(top / "multirun" / "one", hostile=True)
    reproduce(sweep, 0, top / "reproductions" / "a")
    report.run(
        [top / "multirun"],
        Options(),
        where=None,
        task=None,
        title=None,
        output=top / "page.html",
        figures=None,
        json=False,
    )
    return top / "page.html"


def show(driver: Any, page: Path, width: int, scheme: str = "light") -> None:
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    for log in ("browser", "performance"):
        driver.get_log(log)  # what was before
    driver.get(page.as_uri())


def problems(driver: Any, page: Path, width: int, scheme: str = "light") -> list[str]:
    """What is wrong with the page at this width: console, network, overflow."""
    show(driver, page, width, scheme)
    wide, room = driver.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    found = [f"{wide} px wide where there is room for {room}"] if wide > room else []
    found += [entry["message"] for entry in driver.get_log("browser")]
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            url = message["params"]["request"]["url"]
            if url not in (page.as_uri(), "data:,"):
                found.append(f"request for {url}")
    return found


def screenshot(driver: Any, width: int) -> Any:
    from PIL import Image

    height = driver.execute_script("return document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, 8000), "scale": 1}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    return Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")


def luminance(colour: list[int]) -> float:
    parts = [c / 255 for c in colour[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


COLOURS = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgb = text => { canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return Array.from(canvas.getImageData(0, 0, 1, 1).data); };
return Array.from(document.querySelectorAll('h1,p,th,td,caption,a,dt,dd,summary,li,pre,figcaption,.good,.fair,.bad'))
  .filter(item => item.innerText).map(item => {
    let behind = item;
    while (behind.parentElement && getComputedStyle(behind).backgroundColor === 'rgba(0, 0, 0, 0)')
        behind = behind.parentElement;
    return [item.tagName + '.' + item.className, rgb(getComputedStyle(item).color),
            rgb(getComputedStyle(behind).backgroundColor)];
  });
"""


@pytest.mark.parametrize(
    ("scheme", "paper", "series"), [("light", LIGHT, (0, 114, 178)), ("dark", DARK, (88, 174, 230))]
)
def test_it_renders_in_both_colours(
    driver: Any, page: Path, scheme: str, paper: tuple[int, ...], series: tuple[int, ...]
) -> None:
    """Nothing on the console, nothing from the network, nothing too wide; ink that can be read; figures in colour."""
    for width in (DESKTOP, TELEPHONE, 320):
        assert problems(driver, page, width, scheme) == []
    show(driver, page, TELEPHONE, scheme)
    colours = driver.execute_script(COLOURS)
    assert len(colours) > 100
    for what, ink, behind in colours:
        low, high = sorted((luminance(ink), luminance(behind)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (what, ink, behind)
    counts = {colour: count for count, colour in screenshot(driver, TELEPHONE).getcolors(1 << 24)}
    assert max(counts, key=counts.__getitem__) == paper
    assert counts.get(series, 0) > 50  # the figures' lines, in the colour of this scheme
    assert driver.execute_script("return document.title").startswith("Report on")


def test_figures_fit_and_their_text_is_text(driver: Any, page: Path) -> None:
    """No drawing is wider than the telephone, and its letters are at least 9 px high there."""
    show(driver, page, TELEPHONE)
    sizes = driver.execute_script(
        "return Array.from(document.querySelectorAll('figure svg')).map(svg => [svg.getBoundingClientRect().width,"
        " Math.min(...Array.from(svg.querySelectorAll('text')).map(text => {"
        "   const turned = text.getScreenCTM();"
        "   return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(turned.a, turned.b); }))])"
    )
    assert len(sizes) > 5
    assert all(300 < width <= TELEPHONE and letters >= 9 for width, letters in sizes)


def test_it_prints(driver: Any, page: Path) -> None:
    """On paper: some pages, black on white also for who reads in the dark, and what was folded is open."""
    show(driver, page, DESKTOP, "dark")
    printed = driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    pdf = base64.b64decode(printed["data"])
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) in range(3, 15)
    driver.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {"media": "print", "features": [{"name": "prefers-color-scheme", "value": "dark"}]},
    )
    assert driver.execute_script("return getComputedStyle(document.body).backgroundColor") in (
        "rgb(255, 255, 255)",
        "rgba(0, 0, 0, 0)",
    )
    assert driver.execute_script("return getComputedStyle(document.querySelector('nav')).display") == "none"
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


@pytest.mark.parametrize(
    ("spoiled", "barks"),
    [
        ("<div style='width: 2000px'>wide</div>", "px wide"),
        ("<img src='http://127.0.0.1:9/x.png'>", "Content Security Policy"),
        ("<script>throw new Error('acts')</script>", "Content Security Policy"),
    ],
)
def test_the_checks_bark(driver: Any, page: Path, tmp_path: Path, spoiled: str, barks: str) -> None:
    """A page with something too wide, or that loads or runs something, is caught by the checks above."""
    other = tmp_path / "spoiled.html"
    other.write_text(page.read_text().replace("<main>", f"<main>{spoiled}"))
    assert any(barks in problem for problem in problems(driver, other, TELEPHONE))
