"""The figures' colours: told apart also by colour-blind readers, on light, dark and paper, and seen on the ground."""

from __future__ import annotations

import itertools
import re
from importlib.resources import files

import numpy as np
import pytest

from repro_hydra.report.figure_style import DASHES, MARKERS, SERIES

# What is left of the colours to whoever lacks one kind of cone, in linear RGB: Machado, Oliveira & Fernandes, "A
# Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE TVCG 15 (2009) 1291-1298, severity 1.
SIGHT = {
    "all cones": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900],
    ],
}  # fmt: skip
APART = 10.0
"""Of CIE 1976 colour differences, of which 2.3 can just be seen side by side."""
CSS = files("repro_hydra.report").joinpath("page.css").read_text(encoding="utf-8")


def palettes() -> dict[str, tuple[tuple[str, ...], str]]:
    """Colours and their ground, of each palette of the page and of the figures for papers."""
    found = {"figures": (SERIES, "#ffffff")}
    grounds = re.findall(r"--bg: (#[0-9a-f]{6})", CSS)
    series = [tuple(re.findall(r"#[0-9a-f]{6}", line)) for line in re.findall(r"--series-1.*", CSS)]
    for name, colours, ground in zip(("light", "dark", "print"), series, grounds, strict=True):
        found[name] = (colours, ground)
    return found


def linear(colour: str) -> np.ndarray:  # type: ignore[type-arg]
    parts = np.array([int(colour[place : place + 2], 16) for place in (1, 3, 5)]) / 255.0
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def lab(light: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ light / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def nearest(colours: tuple[str, ...], sight: str) -> float:
    """The difference of the two colours that are most alike to that sight."""
    seen = [lab(np.clip(np.array(SIGHT[sight]) @ linear(colour), 0.0, 1.0)) for colour in colours]
    return min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))


def contrast(colour: str, ground: str) -> float:
    low, high = sorted(float(np.array([0.2126, 0.7152, 0.0722]) @ linear(one)) for one in (colour, ground))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("name", ["figures", "light", "dark", "print"])
def test_no_two_look_alike(name: str, sight: str) -> None:
    colours, _ = palettes()[name]
    assert len(set(colours)) == 6
    assert nearest(colours, sight) >= APART


def test_the_check_barks() -> None:
    """At a red and a green that only who has all cones tells apart."""
    pair = ("#b35c00", "#5c8a00")
    assert nearest(pair, "all cones") > 40
    assert nearest(pair, "deuteranopia") < APART


@pytest.mark.parametrize("name", ["light", "dark", "print"])
def test_a_line_is_seen_on_its_ground(name: str) -> None:
    """WCAG 2.2, 1.4.11: three to one for what is drawn."""
    colours, ground = palettes()[name]
    assert all(contrast(colour, ground) >= 3.0 for colour in colours)


def test_colour_is_never_all() -> None:
    """Each series has a marker and a stroke of its own besides."""
    assert len(set(MARKERS)) == len({str(dash) for dash in DASHES}) == len(SERIES) == 6
