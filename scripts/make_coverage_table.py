"""Simulate how often each interval covers, and write the table of ``docs/statistics.md``.

python scripts/make_coverage_table.py               # simulate and write it: seven minutes of one core
python scripts/make_coverage_table.py --print       # simulate and print it

Every number comes from the package's own functions, called once a simulated sweep, on seeds of its own: the same
command gives the same table. A test simulates some of the entries again and compares them with the document.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, stats

from repro_hydra import stats as ours
from repro_hydra.stats.power import std_interval
from repro_hydra.stats.sample import mean_and_std

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "statistics.md"
BEGIN, END = "<!-- coverage: begin -->", "<!-- coverage: end -->"
SIZES = (3, 5, 10, 30)
SWEEPS, SWEEPS_OF_THE_SLOW = 4000, 1000
MEAN, STD = 1.0, 0.1  # a coefficient of variation of 10 %
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """A distribution, brought to the mean and the standard deviation that all of them have here."""

    name: str
    base: object

    def draw(self, generator: np.random.Generator, n: int) -> Values:
        """`n` values."""
        return self._moved(self.base.rvs(size=n, random_state=generator))  # type: ignore[attr-defined]

    def _moved(self, z: Values) -> Values:
        return np.asarray(MEAN + STD * (z - self.base.mean()) / self.base.std())  # type: ignore[attr-defined]

    def quantile(self, u: float) -> float:
        """Of the distribution as it is drawn from."""
        return float(self._moved(np.asarray(self.base.ppf(u))))  # type: ignore[attr-defined]

    def share_between(self, low: float, high: float) -> float:
        """The probability of a value between."""

        def below(x: float) -> float:
            z = (x - MEAN) / STD * self.base.std() + self.base.mean()  # type: ignore[attr-defined]
            return float(self.base.cdf(z))  # type: ignore[attr-defined]

        return below(high) - below(low)

    @cached_property
    def interquartile_mean(self) -> float:
        """The mean of the middle half."""
        return 2.0 * float(integrate.quad(self.quantile, 0.25, 0.75)[0])


SHAPES = (
    Shape("normal", stats.norm()),
    Shape("skewed", stats.lognorm(s=1.0)),
    Shape("heavy-tailed", stats.t(df=3)),
)

Covers = Callable[[np.random.Generator, Shape, int], bool | None]
"""Whether one simulated sweep's interval holds what it should; None where there is no interval."""


def _holds(interval: ours.Interval, value: float) -> bool | None:
    if interval.low is None or interval.high is None:
        return None
    return interval.low <= value <= interval.high


def _t(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    return _holds(ours.mean_interval(shape.draw(g, n)), MEAN)


def _bootstrap(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    return _holds(ours.bootstrap_interval(shape.draw(g, n)), MEAN)


def _bootstrap_of_the_middle(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    interval = ours.bootstrap_interval(shape.draw(g, n), statistic=ours.interquartile_means)
    return _holds(interval, shape.interquartile_mean)


def _stratified(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    tasks = [shape.draw(g, n) for _ in range(4)]
    return _holds(ours.interquartile_mean_interval(tasks), shape.interquartile_mean)


def _profile(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    tasks = [shape.draw(g, n) for _ in range(4)]
    profile = ours.performance_profile(tasks, thresholds=[shape.quantile(0.5)])
    return profile.low[0] <= 0.5 <= profile.high[0]


def _prediction(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    values = shape.draw(g, n + 1)
    return _holds(ours.prediction_interval(values[:n]), float(values[n]))


def _tolerance(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    found = ours.tolerance_interval(shape.draw(g, n))
    assert found.low is not None
    assert found.high is not None
    return shape.share_between(found.low, found.high) >= 0.95


def _variation(method: str) -> Covers:
    def covers(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
        interval = ours.coefficient_of_variation_interval(shape.draw(g, n), method=method)  # type: ignore[arg-type]
        return _holds(interval, STD / MEAN)

    return covers


def _spread(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    low, high = std_interval(mean_and_std(shape.draw(g, n).tolist())[1], n, 0.95)
    return low <= STD <= high


def _paired(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    luck = shape.draw(g, n)  # what runs of one seed share
    found = ours.paired_t_test(luck + shape.draw(g, n) + 0.05, luck + shape.draw(g, n))
    return None if found.ci_low is None or found.ci_high is None else found.ci_low <= 0.05 <= found.ci_high


def _welch(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    found = ours.welch_t_test(3.0 * shape.draw(g, n), shape.draw(g, n))
    true = 2.0 * MEAN
    return None if found.ci_low is None or found.ci_high is None else found.ci_low <= true <= found.ci_high


def _effect(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    found = ours.hedges_g(shape.draw(g, n) + STD, shape.draw(g, n))
    return None if found.low is None or found.high is None else found.low <= 1.0 <= found.high


def _improvement(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    found = ours.probability_of_improvement(shape.draw(g, n), shape.draw(g, n))
    return None if found.low is None or found.high is None else found.low <= 0.5 <= found.high


def _stein(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    pilot = shape.draw(g, n)
    plan = ours.stein_two_stage(pilot, half_width=0.5 * STD)
    if plan.n_total is None:
        return None
    return _holds(ours.stein_interval([*pilot, *shape.draw(g, plan.n_total - n)], plan), MEAN)


def _sequence(g: np.random.Generator, shape: Shape, n: int) -> bool | None:
    values = shape.draw(g, n) - MEAN
    looks = [ours.t_sequence(values[: count + 1]) for count in range(1, n)]
    return all(_holds(look, 0.0) is not False for look in looks)


@dataclass(frozen=True)
class Method:
    """An interval, and what it is to hold."""

    name: str
    holds: str
    covers: Covers
    slow: bool = False


METHODS = (
    Method("`mean_interval` (Student t)", "the mean", _t),
    Method("`bootstrap_interval` (BCa)", "the mean", _bootstrap),
    Method(
        "`bootstrap_interval` of the interquartile mean",
        "the mean of the middle half",
        _bootstrap_of_the_middle,
    ),
    Method("`interquartile_mean_interval`, 4 tasks", "the mean of the middle half", _stratified, slow=True),
    Method("`performance_profile` at the median, 4 tasks", "one half", _profile, slow=True),
    Method("`prediction_interval`", "the next seed's value", _prediction),
    Method("`tolerance_interval` (95 % of all values)", "95 % of all values, or more", _tolerance),
    Method("`coefficient_of_variation_interval` (Vangel)", "std / mean", _variation("vangel")),
    Method("the same, McKay", "std / mean", _variation("mckay")),
    Method("the same, exact noncentral t", "std / mean", _variation("noncentral_t"), slow=True),
    Method("`seeds_for_…`: interval of the std (chi-square)", "the std", _spread),
    Method("`paired_t_test`", "the difference of means", _paired),
    Method("`welch_t_test`, one std three times the other", "the difference of means", _welch),
    Method("`hedges_g`, true value 1", "the standardized difference", _effect, slow=True),
    Method("`probability_of_improvement`, true value 0.5", "P(A > B)", _improvement),
    Method("`stein_two_stage`, n of the pilot", "the mean", _stein),
    Method("`t_sequence`, at every look up to n together", "the mean", _sequence, slow=True),
)


def coverage(method: Method, shape: Shape, n: int, sweeps: int) -> float | None:
    """How often the interval covers, of the sweeps that had one; None where none had."""
    generator = np.random.default_rng([n, SHAPES.index(shape), METHODS.index(method)])
    found = [method.covers(generator, shape, n) for _ in range(sweeps)]
    known = [item for item in found if item is not None]
    return sum(known) / len(known) if known else None


def sweeps_of(method: Method) -> int:
    """How many sweeps its entries stand on."""
    return SWEEPS_OF_THE_SLOW if method.slow else SWEEPS


def table(say: Callable[[str], None], made_on: str) -> str:
    """The table as Markdown, with the day that it was made on."""
    heads = [f"{shape.name} {n}" for shape in SHAPES for n in SIZES]
    lines = [f"| interval, 95 % said | holds | {' | '.join(heads)} |", f"|---|---|{'--:|' * len(heads)}"]
    for method in METHODS:
        cells = [_cell(coverage(method, shape, n, sweeps_of(method))) for shape in SHAPES for n in SIZES]
        lines.append(f"| {method.name} | {method.holds} | {' | '.join(cells)} |")
        say(lines[-1])
    error = math.sqrt(0.95 * 0.05)
    lines += [
        "",
        f"{SWEEPS} simulated sweeps an entry (standard error {error / math.sqrt(SWEEPS):.3f} near 0.95), "
        f"{SWEEPS_OF_THE_SLOW} for the slow ones ({error / math.sqrt(SWEEPS_OF_THE_SLOW):.3f}). "
        f"Made on {made_on}, whole.",
    ]
    return "\n".join(lines)


def _cell(share: float | None) -> str:
    return "refused" if share is None else f"{share:.3f}"


def written(text: str) -> dict[tuple[str, str, int], float]:
    """The entries of the table in the document `text`, by method, shape and n."""
    body = text.partition(BEGIN)[2].partition(END)[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in body.splitlines()
        if line.startswith("|")
    ]
    heads = [head.rsplit(" ", 1) for head in rows[0][2:]]
    return {
        (row[0], shape, int(n)): float(cell)
        for row in rows[2:]
        for (shape, n), cell in zip(heads, row[2:], strict=True)
        if cell != "refused"
    }


def main(arguments: Sequence[str]) -> int:
    """Simulate, then print or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--print", action="store_true", help="print the table instead of writing it")
    options = parser.parse_args(arguments)
    today = datetime.now(timezone.utc).date().isoformat()
    made = table(lambda line: print(line, file=sys.stderr, flush=True), today)
    if options.print:
        print(made)
        return 0
    text = DOCUMENT.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    DOCUMENT.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
