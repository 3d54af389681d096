"""`repro-hydra report`: what the page says, that nothing from a record acts in it, and its exit statuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from made_records import MadeSweep, make_run
from report_tree import make_sweep, reproduce
from typer.testing import CliRunner

from repro_hydra.cli.app import command_line
from repro_hydra.record.manifest import digest_file, write_manifest
from repro_hydra.record.paths import RunPaths
from repro_hydra.report.profiles import Tasks, profiles_of
from repro_hydra.sweep.aggregate import aggregate
from repro_hydra.sweep.group import UnknownKey

VOID = {"meta", "link", "br", "img", "hr", "input"}


def report(cwd: Path, *arguments: str, code: int = 0) -> str:
    """The command, in this process: a fresh one spends seconds on its imports alone."""
    before = Path.cwd()
    os.chdir(cwd)
    try:
        done = CliRunner().invoke(command_line(), ["report", *arguments])
    finally:
        os.chdir(before)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.stdout if code == 0 else done.output


class Page(HTMLParser):
    """What of a page matters here; refuses tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict[str, Any]]:
    """One page with everything on it, the figures beside it, and what `--json` said."""
    top = tmp_path_factory.mktemp("report")
    sweep = make_sweep(top / "multirun" / "one", hostile=True)
    reproduce(sweep, 0, top / "reproductions" / "a")
    reproduce(sweep, 1, top / "reproductions" / "b", "DIVERGED")
    write_manifest(RunPaths(sweep.dir / "0"))
    arguments = ["report", "multirun/one", "-o", "deep/page.html", "--figures", "figs", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "repro_hydra", *arguments],
        cwd=top,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    said = json.loads(done.stdout)
    return top, (top / "deep" / "page.html").read_text(), said


def test_the_page_tells_everything(made: tuple[Path, str, dict[str, Any]]) -> None:
    """What was run, verdicts, numbers, sentences, figures, provenance: in words, each where it belongs."""
    _, text, said = made
    page = Page(text)
    told = page.text
    for words in (
        "24 runs of 5 configurations",
        "python train.py -m +repro=strict 'seed=range(5)' model=conv,attention",
        "21 of 23 completed runs upheld the promise (same record, same bits); 1 by waiver; 1 did not.",
        "DIVERGED: 2 metrics",
        "no-git-repository",
        "a scratch folder",
        "undeclared-input:data/extra.csv",
        "4 of 5",
        "planned, and no run of it is there: seed 1",
        "failed: ValueError: no such layer",
        "is higher than",
        "paired over 5 seeds",
        "after Holm over 10",
        "Configurations are compared in test_accuracy; --metric chooses.",
        "8a2d4b122edf1f0d76c6a579dfc382cd4055b1fc",
        "test_accuracy: every seed, mean and 95 % interval",
        "loss: learning curves",
        "test_accuracy: performance profile",
    ):
        assert words in told, words
    assert told.index("Can it be run again?") < told.index("Results") < told.index("Environment and prov")
    assert told.index("DIVERGED:") < told.index("BITWISE:")
    top, _, _ = made
    manifest = f"blake3:{digest_file(RunPaths(top / 'multirun/one/0').manifest)}"
    assert f"one/0{manifest}" in told  # two cells of one row
    assert told.count("blake3:") == 1  # the others have none
    assert said["runs"] == 24
    assert said["size_bytes"] == len(text.encode())
    assert said["left_out"] == 1


def test_nothing_from_a_record_acts(made: tuple[Path, str, dict[str, Any]]) -> None:
    """Names are text: no script, no image, no handler, no address to load anything from."""
    _, text, _ = made
    page = Page(text)
    assert {name for name, _ in page.tags}.isdisjoint({"script", "img", "iframe", "object", "image", "form"})
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("href", "src", "xlink:href"):
            assert (attributes.get(name) or "#").startswith(("#", "data:,"))
    assert "http://" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", text)
    assert "https://" not in text
    assert "<script>alert('x')</script><img src=x onerror=alert(1)>\"&$\\frac{1}{0}$" in "".join(page.words)
    assert "\x1b" not in text
    policy = next(item["content"] for item in page.of("meta") if item.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_tables_and_figures_can_be_read_aloud(made: tuple[Path, str, dict[str, Any]]) -> None:
    """Captions, scopes, titles, descriptions, unique ids, and every reference meets one."""
    _, text, _ = made
    page = Page(text)
    assert len(page.of("caption")) == len(page.of("table")) > 4
    assert all(item.get("scope") in ("col", "row") for item in page.of("th"))
    drawn = [item for item in page.of("svg") if item.get("role") == "img"]
    assert len(drawn) == 8
    ids = [item["id"] for _, item in page.tags if "id" in item]
    assert len(ids) == len(set(ids))
    for _, item in page.tags:
        for name in ("aria-labelledby",):
            assert set((item.get(name) or "").split()) <= set(ids)
        reference = item.get("href") or item.get("xlink:href") or ""
        if reference.startswith("#"):
            assert reference[1:] in ids
    assert "#0072b2" not in text.partition("</style>")[2]  # the figures follow light and dark


def test_figures_for_a_paper(made: tuple[Path, str, dict[str, Any]]) -> None:
    """PDF with real fonts, SVG, PNG of 300 dpi; names that any file system takes; the same bytes again."""
    top, _, said = made
    files = sorted((top / "figs").iterdir())
    assert [str(file) for file in files] == sorted(said["figures"])
    assert len(files) == 24
    assert all(re.fullmatch(r"[A-Za-z0-9.-]+", file.name) for file in files)
    pdf = (top / "figs" / "seeds-test-accuracy.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/Type3" not in pdf
    from PIL import Image

    with Image.open(top / "figs" / "seeds-test-accuracy.png") as image:
        assert image.size[0] == pytest.approx(3.9 * 300, abs=2)
    from repro_hydra.report.figures import seed_points
    from repro_hydra.report.svg import save

    rows = [row for row in aggregate([top / "multirun"]).rows if row.metric == "test_accuracy"]
    (top / "again").mkdir()
    again = save(seed_points("seeds-test-accuracy", "test_accuracy", rows), top / "again")
    assert len(again) == 3
    for file in again:
        assert file.read_bytes() == (top / "figs" / file.name).read_bytes(), file.name


def test_a_named_metric_a_baseline_and_tasks(tmp_path: Path) -> None:
    """`--metric` chooses table and curves alike, `--baseline` the comparisons, `--task` averages profiles."""
    make_sweep(tmp_path / "m", seeds=3)
    report(tmp_path, "m", "-o", "p.html", "--metric", "loss", "--baseline", "model=conv,optimizer.lr=0.1")
    told = Page((tmp_path / "p.html").read_text()).text
    assert "loss: learning curves" in told
    assert "after Holm over 3" in told
    report(tmp_path, "m", "-o", "q.html", "--task", "optimizer.lr", "--title", "Two tasks")
    told = Page((tmp_path / "q.html").read_text()).text
    assert told.startswith("Two tasks")
    assert "averaged over 2 tasks (0.01, 0.1)" in told
    assert "averaged over 2 tasks (0.01, 0.1), whose values are taken to be on one scale" in told
    assert "metric loss_of_none: expected one of test_accuracy, test_loss, loss" in report(
        tmp_path, "m", "-o", "r.html", "--metric", "loss_of_none", code=2
    )
    assert not (tmp_path / "r.html").exists()


def test_tasks_on_different_scales_have_a_profile_only_where_normalised(tmp_path: Path) -> None:
    """As rliable asks: what counts as 0 and as 1 of each task is said, or there is no profile, by name."""
    variants = [{"model": model, "game": game} for model in ("a", "b") for game in ("pong", "breakout")]
    # Model b plays breakout half way to 800, and pong all but perfectly: 20 of -21 to 21.
    MadeSweep(tmp_path / "m", range(3), variants=variants).run_all(
        [*3 * [-21], *3 * [0], *3 * [20], *3 * [400]], metric="score"
    )
    rows = aggregate([tmp_path / "m"]).rows
    cut: list[str] = []
    assert profiles_of(rows, ["score"], Tasks("game"), 0.95, cut) == []
    assert cut == [
        "score: no performance profile over the tasks: the values of pong (up to 21) and of breakout (up to 400) are "
        "not on one scale. Say what counts as 0 and as 1 of each: --task-range pong=LOW:HIGH --task-range "
        "breakout=LOW:HIGH"
    ]
    (profile,) = profiles_of(
        rows, ["score"], Tasks("game", {"pong": (-21.0, 21.0), "breakout": (0.0, 800.0)}), 0.95, []
    )
    of = dict(profile.named)
    share = dict(zip(of["model=b"].thresholds, of["model=b"].share, strict=True))
    between = [share[at] for at in share if 0.55 < at < 0.95]
    assert len(between) > 10
    assert set(between) == {0.5}  # pong's 0.976 lies above, breakout's 0.5 below
    middles = {item.label: item for item in profile.middles}
    assert middles["model=b"].value == pytest.approx((20 + 21) / 42 / 2 + 0.25)  # half of it 0.976, half 0.5
    assert middles["model=a"].value == pytest.approx(0.0)
    low, high = middles["model=b"].interval.low, middles["model=b"].interval.high
    assert low == high == pytest.approx(middles["model=b"].value)  # equal within each task: nothing to draw
    downwards = Tasks("game", {"pong": (21.0, -21.0)})
    assert downwards.normalised("pong", [21.0, -21.0, 0.0]) == [0.0, 1.0, 0.5]

    ranges = ("--task-range", "pong=-21:21", "--task-range", "breakout=0:800")
    common = ("m", "--task", "game", "--metric", "score")
    report(tmp_path, *common, *ranges, "-o", "p.html")
    told = Page((tmp_path / "p.html").read_text()).text
    assert "averaged over 2 tasks (breakout, pong), each normalised" in told
    assert "score, normalised: performance profile" in told
    assert "score, normalised: interquartile mean over all tasks and seeds" in told
    for wrong, words in (
        ((*common, "--task-range", "pong=-21:21"), "found none for breakout"),
        ((*common, "--task-range", "chess=0:1"), "chess: expected one of breakout, pong"),
        ((*common, "--task-range", "pong=1:1"), "two different numbers"),
        ((*common, "--task-range", "pong"), "expected TASK=LOW:HIGH"),
        ((*common, *ranges, *ranges), "found two"),
        (("m", "--task-range", "pong=0:1"), "expected a --task"),
        (("m", "--task", "game", *ranges), "--metric"),
    ):
        arguments = [*wrong, "-o", "no.html"]
        assert words in report(tmp_path, *arguments, code=2), wrong
    assert not (tmp_path / "no.html").exists()


def test_no_value_is_called_normalised_that_is_not(tmp_path: Path) -> None:
    """The one task of all runs is no key that varies, and `--by` may lose the task: the range is taken, or refused."""
    variants = [{"model": model, "game": "pong"} for model in ("a", "b")]
    MadeSweep(tmp_path / "one", range(3), variants=variants).run_all([*3 * [-21], 0, 0, 21], metric="score")
    task = ("--task", "game", "--metric", "score", "--task-range", "pong=-21:21")
    configs = [{"model": model, "game": "pong"} for model in ("a", "b")]
    for by in (None, ["model"]):
        tasks = Tasks("game", {"pong": (-21.0, 21.0)}).of(configs, by)
        (profile,) = profiles_of(aggregate([tmp_path / "one"], by=by).rows, ["score"], tasks, 0.95, [])
        assert profile.tasks == ["pong"]
        assert profile.normalised
        thresholds = profile.named[0][1].thresholds
        assert -0.05 < thresholds[0] < 0 < 1 < thresholds[-1] < 1.05
    report(tmp_path, "one", *task, "-o", "p.html")
    assert "score, normalised" in Page((tmp_path / "p.html").read_text()).text

    variants = [{"model": model, "game": game} for model in ("a", "b") for game in ("pong", "breakout")]
    MadeSweep(tmp_path / "two", range(2), variants=variants).run_all(
        [float(n) for n in range(8)], metric="score"
    )
    told = report(
        tmp_path, "two", *task, "--task-range", "breakout=0:8", "--by", "model", "-o", "no.html", code=2
    )
    assert "--by model: expected --task game among them" in told
    assert not (tmp_path / "no.html").exists()
    some = Tasks("game", {"pong": (-21.0, 21.0)}).of([*configs, {"model": "c"}])
    with pytest.raises(UnknownKey, match="the key game in each run's config, found none in model=c"):
        some.name_of({"model": "c"})
    with pytest.raises(UnknownKey, match="found none for chess"):
        some.normalised("chess", [1.0])


def test_two_hundred_configurations(tmp_path: Path) -> None:
    """A page of reasonable size that says what it leaves away."""
    sweep = MadeSweep(tmp_path / "m", range(2), variants=[{"width": width} for width in range(200)])
    for number in range(400):
        sweep.run(number, {"a": 1.0 + 0.01 * number, "b": float(number % 7)})
    said = json.loads(report(tmp_path, "m", "--json"))
    assert said["file"] == str(tmp_path / "report.html")
    assert said["size_bytes"] < 1_500_000
    assert "a: the seeds of the first 120 of 200 are drawn." in said["cut"]
    assert any("200 configurations are too many to compare" in line for line in said["cut"])
    page = Page((tmp_path / "report.html").read_text())
    assert "a: the seeds of the first 120 of 200 are drawn." in page.text
    assert page.text.count("width=199") >= 2


def test_misuse_and_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where, expected, found, the next command; 2 for misuse, 1 for nothing to report."""
    (tmp_path / "empty").mkdir()
    assert "nothing to aggregate" in report(tmp_path, "empty", "-o", "p.html", code=1)
    assert not (tmp_path / "p.html").exists()
    assert f"expected the name of a file, found a folder. Run with: -o {tmp_path}/report.html" in report(
        tmp_path, "empty", "-o", str(tmp_path), code=2
    )
    make_run(tmp_path / "runs" / "0", error="out of memory")
    assert "The page says so too" in report(tmp_path, "runs", "-o", "p.html", code=1)
    told = Page((tmp_path / "p.html").read_text()).text
    assert "No run completed" in told
    assert "out of memory" in told
    assert "--task x: expected a key" in report(tmp_path, "runs", "-o", "q.html", "--task", "x", code=2)
    (tmp_path / "file").write_text("")
    assert "expected a folder, found a file" in report(
        tmp_path, "runs", "--figures", "file", "-o", "q.html", code=2
    )


def test_without_its_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback of an import."""
    from repro_hydra.cli import errors
    from repro_hydra.cli import report as command

    monkeypatch.setattr(command, "_NEEDED", ("jinja2", "a_library_nobody_has"))
    with pytest.raises(errors.UserError, match=r"pip install 'repro-hydra\[report\]'"):
        command._check_extra()


def test_values_and_names_that_nobody_would_choose(tmp_path: Path) -> None:
    """The largest and smallest doubles, NaN, one seed, equal values, empty and endless names: a page all the same."""
    cases = {
        "huge": [1e308, -1e308, 1e308],
        "nan": ["NaN", "NaN"],
        "inf": ["Infinity", 1.0],
        "tiny": [5e-324, 0.0, 1e-300],
        "equal": [1.0, 1.0],
        "one": [3.0],
    }
    for name, values in cases.items():
        for seed, value in enumerate(values):
            run = make_run(
                tmp_path / "m" / name / str(seed),
                seed=seed,
                result={"m": value, "": 2.0, "_x\ny": 3.0 + seed},
                config={"case": name, "a key $x$ <b>": "\u202e" + 3000 * "y", "list": [1, {"a": None}]},
                name="tab\there",
            )
            (run / ".repro" / "metrics.jsonl").write_text(
                '{"step": 0, "m": "NaN"}\n{"step": 1, "m": 1e308}\n{"step": 2, "m": -1e308}\nno json\n'
            )
    report(tmp_path, "m", "--by", "case")
    told = Page((tmp_path / "report.html").read_text()).text
    for words in ("case=huge", "its limits are too large for a double", "2 NaN among 2 values", "case=one"):
        assert words in told, words
    assert "\u202e" not in told


def test_the_sample_records_make_a_page(tmp_path: Path) -> None:
    """Records of every released version, with their environments in full."""
    records = Path(__file__).parent.parent / "records"
    report(tmp_path, str(records / "1.0"), "-o", "p.html")
    told = Page((tmp_path / "p.html").read_text()).text
    assert "CPython 3.11.7" in told
    assert "AMD EPYC" in told
    assert "openblas 0.3.31.188.0 (1 threads)" in told
    assert re.search(r"\d+ packages", told)
