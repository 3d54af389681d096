"""``hydra/sweeper=repro_seeds``: adds seeds to each configuration until its rule is satisfied.

The seed is never optimised: seeds are taken in their order, all of them count, and a rule sees values only in ways
under which its interval keeps its coverage.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from repro_hydra.composed import select
from repro_hydra.record.store import RecordError
from repro_hydra.record.values import from_json_number, to_json
from repro_hydra.repeats.log import (
    ConfigurationEntry,
    DecisionEntry,
    SeedEntry,
    SeedsLog,
    read_log,
    write_log,
)
from repro_hydra.repeats.metrics import metrics_of
from repro_hydra.repeats.options import BadOption, SeedOptions
from repro_hydra.repeats.rules import Decision, Repeats
from repro_hydra.session.say import say

log = logging.getLogger("repro_hydra.sweeper")

Job = tuple[int, int]
"""Place of the configuration, and seed."""


class SeedSweeper(Sweeper):
    """Runs seeds in batches, asks the rule after each, and keeps a log to resume from."""

    def __init__(self, **options: Any) -> None:
        self._given = options

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check everything that can be checked, then make the launcher."""
        self.hydra_context = hydra_context
        self.config = config
        try:
            self._prepare(config, hydra_context)
        except (BadOption, RecordError) as error:
            say(str(error))
            raise SystemExit(2) from None
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def _prepare(self, config: DictConfig, context: HydraContext) -> None:
        self._options = SeedOptions.from_config(self._given)
        if (select(config, "hydra.callbacks.repro.seed.repeats") or 1) > 1:
            raise BadOption(
                "hydra.callbacks.repro.seed.repeats: repro_seeds chooses the seeds itself. Leave it away"
            )
        self._seed_key = str(select(config, "hydra.callbacks.repro.seed.key") or "seed")
        self._metric = self._options.metric or select(config, "hydra.callbacks.repro.primary_metric")
        absent = select(config, self._seed_key) is None
        self._seed_override = f"{'++' if absent else ''}{self._seed_key}"
        params = [f"{key}={value}" for key, value in (self._options.params or {}).items()]
        self._batches = self._configurations([*params, *config.hydra.overrides.task], context)
        self._repeats = [
            Repeats(label=" ".join(_shown(item)) or "(one configuration)") for item in self._batches
        ]
        self._rule = self._options.rule_for(self._baseline())
        self._entries: list[list[SeedEntry]] = [[] for _ in self._batches]
        self._next_job = 0
        if self._options.resume is not None:
            self._take_over(Path(self._options.resume))

    def _configurations(self, arguments: list[str], context: HydraContext) -> list[list[str]]:
        overrides = OverridesParser.create(config_loader=context.config_loader).parse_overrides(arguments)
        for override in overrides:
            if override.key_or_group == self._seed_key:
                raise BadOption(
                    f"{override.input_line}: repro_seeds chooses the seeds itself, and counts from "
                    "hydra.sweeper.first_seed. Leave it away"
                )
        return BasicSweeper.split_arguments(overrides, None)[0]

    def _baseline(self) -> int:
        wanted = self._options.baseline
        if self._options.rule == "difference" and len(self._batches) < 2:
            raise BadOption("hydra.sweeper: rule=difference: expected two configurations at least, found one")
        if wanted is None:
            return 0
        words = set(wanted.replace(",", " ").split())
        found = [place for place, item in enumerate(self._batches) if words <= set(item)]
        if len(found) != 1:
            labels = "; ".join(item.label for item in self._repeats)
            raise BadOption(
                f"hydra.sweeper.baseline={wanted}: expected one configuration, found {len(found)} in: {labels}"
            )
        return found[0]

    def _take_over(self, directory: Path) -> None:
        earlier = read_log(directory)
        own = {**self._options.of_the_decisions(), "metric": self._metric or earlier.options.get("metric")}
        for name, value in own.items():
            if earlier.options.get(name) != value:
                raise BadOption(
                    f"hydra.sweeper.{name}: expected {earlier.options.get(name)!r} as in {directory}, found {value!r}. "
                    "A rule that changes midway keeps no promise; start anew"
                )
        self._metric = own["metric"]
        self._next_job = earlier.next_job
        known = {tuple(item.overrides): item for item in earlier.configurations}
        taken = 0
        for place, overrides in enumerate(self._batches):
            item = known.pop(tuple(overrides), None)
            for entry in item.seeds if item is not None else ():
                taken += 1
                self._note(place, entry)
        if known:
            missing = "; ".join(" ".join(_shown(list(overrides))) for overrides in known)
            raise BadOption(
                f"hydra.sweeper.resume={directory}: its configurations {missing} are not in this sweep"
            )
        log.info("Taken over from %s: %d jobs", directory, taken)

    # ------------------------------------------------------------------ the sweep

    def sweep(self, arguments: list[str]) -> Any:
        """Run batches until every configuration is decided; `arguments` were read in `setup`."""
        assert self.config is not None
        assert self.launcher is not None
        self._directory = Path(str(self.config.hydra.sweep.dir))
        self._directory.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, self._directory / "multirun.yaml")
        started = time.monotonic()
        returned: list[Sequence[JobReturn]] = []
        failures: list[JobReturn] = []
        while True:
            decisions = self._rule.decide(self._repeats)
            self._save(decisions)
            jobs = self._next_batch(decisions, time.monotonic() - started)
            if not jobs:
                break
            first = self._next_job
            self._plan(jobs)
            self._save(decisions)
            batch = [[*self._batches[place], f"{self._seed_override}={seed}"] for place, seed in jobs]
            self.validate_batch_is_legal(batch)
            results = self.launcher.launch(batch, initial_job_idx=first)
            returned.append(results)
            for offset, (job, result) in enumerate(zip(jobs, results, strict=True)):
                self._take(job, first + offset, result)
                if result.status is not JobStatus.COMPLETED:
                    failures.append(result)
        self._tell(decisions)
        for result in failures:
            _ = (
                result.return_value
            )  # raises, as Hydra's own sweeper does: a sweep with failures is no success
        return returned

    def _next_batch(self, decisions: Sequence[Decision], elapsed_s: float) -> list[Job]:
        hours = self._options.max_hours
        if hours is not None and elapsed_s >= hours * 3600.0:
            log.warning("hydra.sweeper.max_hours=%g is over", hours)
            return []
        wanted: list[Job] = []
        for place, (item, decision) in enumerate(zip(self._repeats, decisions, strict=True)):
            if decision.done:
                continue
            count = max(decision.more, self._options.batch if self._options.rule == "difference" else 1)
            count = min(
                count, self._options.batch if item.tried else max(self._options.batch, self._options.initial)
            )
            count = min(count, self._options.max_seeds - item.tried)
            tried = item.values.keys() | item.failed
            seed = self._options.first_seed
            while count > 0:
                if seed not in tried:
                    wanted.append((place, seed))
                    count -= 1
                seed += 1
        wanted.sort(key=lambda job: (job[1], job[0]))  # seed by seed, so that a budget cuts all alike
        left = (
            None
            if self._options.max_jobs is None
            else self._options.max_jobs - sum(i.tried for i in self._repeats)
        )
        if left is not None and len(wanted) > left:
            log.warning("hydra.sweeper.max_jobs=%d is spent", self._options.max_jobs)
            return wanted[: max(0, left)]
        return wanted

    def _plan(self, jobs: Sequence[Job]) -> None:
        for place, seed in jobs:
            self._entries[place].append(SeedEntry(seed=seed, job=self._next_job, status="planned"))
            self._next_job += 1

    def _take(self, job: Job, number: int, result: JobReturn) -> None:
        place, seed = job
        if result.status is not JobStatus.COMPLETED:
            self._note(
                place, SeedEntry(seed=seed, job=number, status="failed", error=repr(result._return_value))
            )
            return
        value = self._value(result, number)
        self._note(place, SeedEntry(seed=seed, job=number, status="completed", value=to_json(value)))

    def _note(self, place: int, entry: SeedEntry) -> None:
        entries = [other for other in self._entries[place] if other.job != entry.job]
        self._entries[place] = sorted([*entries, entry], key=lambda item: item.job)
        value = from_json_number(entry.value)
        if entry.status == "completed" and value is not None:
            self._repeats[place].values[entry.seed] = value
        else:
            self._repeats[place].failed.add(entry.seed)

    def _value(self, result: JobReturn, number: int) -> float:
        metrics = metrics_of(result)
        numbers = {name: v for name, item in metrics.items() if (v := from_json_number(item)) is not None}
        if self._metric is None and len(numbers) == 1:
            self._metric = next(iter(numbers))
        if self._metric in numbers:
            return numbers[self._metric]
        wanted = "hydra.sweeper.metric" if self._metric is None else f"hydra.sweeper.metric={self._metric}"
        found = ", ".join(numbers) or "no number: the task must return one, or call repro_hydra.log_result"
        say(f"{wanted}: expected the name of one of the task's metrics; job {number} gave: {found}")
        raise SystemExit(2)

    # ------------------------------------------------------------------ what is kept and told

    def _save(self, decisions: Sequence[Decision]) -> None:
        configurations = [
            ConfigurationEntry(
                overrides=overrides,
                seeds=entries,
                decision=DecisionEntry(
                    done=decision.done,
                    reason=decision.reason,
                    low=decision.low,
                    high=decision.high,
                    method=decision.method,
                ),
            )
            for overrides, entries, decision in zip(self._batches, self._entries, decisions, strict=True)
        ]
        options = {**self._options.of_the_decisions(), "metric": self._metric}
        write_log(
            self._directory,
            SeedsLog(options=options, next_job=self._next_job, configurations=configurations),
        )

    def _tell(self, decisions: Sequence[Decision]) -> None:
        from repro_hydra.sweep.wording import plus_minus

        for item, decision in zip(self._repeats, decisions, strict=True):
            text = decision.reason
            if decision.low is not None and decision.high is not None:
                middle, half = (decision.low + decision.high) / 2.0, (decision.high - decision.low) / 2.0
                level = f"{self._options.confidence * 100:g} %"
                what = "difference" if self._options.rule == "difference" else "mean"
                text = (
                    f"{self._metric}: {what} {plus_minus(middle, half)} ({level}, {decision.method}); {text}"
                )
            failed = f", {len(item.failed)} failed" if item.failed else ""
            say(f"{item.label}: {len(item.values)} seeds{failed}: {text}")
        if any(item.failed for item in self._repeats):
            say(
                "failed seeds were made up for by further ones: where failing goes with the result, that is a bias"
            )


def _shown(overrides: Sequence[str]) -> list[str]:
    return [text for text in overrides if not text.startswith("+repro")]
