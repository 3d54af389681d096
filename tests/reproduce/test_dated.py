"""`repro_hydra.reproduce.dated`: files that differ in the time at which they were made, and in nothing else."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable

import pytest

from repro_hydra.reproduce.dated import without_time


def a_figure(suffix: str, date: str, last: float) -> bytes:
    """As matplotlib saves it; the salt of an SVG's ids is its own at each time."""
    matplotlib = pytest.importorskip("matplotlib", reason="an extra of the report")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure = pyplot.figure()
    figure.subplots().plot([1.0, 2.0, last], marker="o")
    stream = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", date)
        figure.savefig(stream, format=suffix)
    pyplot.close(figure)
    return stream.getvalue()


def a_gzip(date: str, last: float) -> bytes:
    return gzip.compress(b"1,2,%f" % last, mtime=float(date))


def a_zip(date: str, last: float) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a.csv", (2000 + int(date) % 7, 1, 1, 0, 0, 0)), b"1,2,%f" % last)
    return stream.getvalue()


MADE: dict[str, Callable[[str, float], bytes]] = {
    "pdf": lambda date, last: a_figure("pdf", date, last),
    "svg": lambda date, last: a_figure("svg", date, last),
    "eps": lambda date, last: a_figure("eps", date, last),
    "csv.gz": a_gzip,
    "zip": a_zip,
}


@pytest.mark.parametrize("suffix", MADE)
def test_another_time_is_no_difference_and_another_number_is(suffix: str) -> None:
    """What is left out is the time alone."""
    make, name = MADE[suffix], f"out.{suffix}"
    first, later, other = make("1000", 3.0), make("5000", 3.0), make("5000", 3.5)
    assert first != later
    assert without_time(name, first) == without_time(name, later)
    assert without_time(name, later) != without_time(name, other)


def test_other_files_stay_as_they_are() -> None:
    """Nor is there anything to be taken out of what only has the name."""
    for name in ("a.csv", "a.gz", "a.zip", "a.svg", "a.pdf"):
        assert without_time(name, b"no such format #1 \x00") == b"no such format #1 \x00"
