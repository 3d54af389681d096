"""How long an aggregate of 10,000 runs in 2,000 configurations takes: reading, statistics, bootstrap, memory.

    python benchmarks/bench_aggregate.py
    python benchmarks/bench_aggregate.py --runs 1000 --rounds 3

Prints one JSON document. The records are as a real sweep writes them (a job's own files, the sweep's plan of all jobs).
Every round is a fresh interpreter; the minimum is what the work takes, the rest is what else the machine did; on one
that is never idle the processor's own time (`_cpu_s`) comes closer to it. "First"
means the first time that a process reads them: the files are in the page cache, as after the sweep that wrote them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

SEEDS = 5
SAMPLE = Path(__file__).resolve().parent.parent / "tests" / "records" / "1.0" / "sweep"

MEASURE = """
import json, sys, time
from pathlib import Path

class Watch:
    def __enter__(self):
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self
    def __exit__(self, *_):
        self.wall, self.cpu = time.perf_counter() - self.wall, time.process_time() - self.cpu

with Watch() as imports:
    from repro_hydra.sweep.aggregate import conclude
    from repro_hydra.sweep.measuring import Options, table_of
    from repro_hydra.sweep.collect import collect
    from repro_hydra.stats.bootstrap import bootstrap_interval
    from repro_hydra.stats.summary import summarize
    summarize([1.0, 2.0])
    bootstrap_interval([1.0, 2.0, 4.0])
    conclude(table_of(collect([Path(sys.argv[2])]), Options()))  # whatever is imported late

if len(sys.argv) > 3:
    import tracemalloc

    tracemalloc.start(1)
    collected = collect([Path(sys.argv[1])])
    found = conclude(table_of(collected, Options()))
    values = sum(len(row.values) for row in found.rows)
    print(json.dumps({"bytes_a_run_and_metric": tracemalloc.get_traced_memory()[0] / values}))
    raise SystemExit
with Watch() as reading:
    collected = collect([Path(sys.argv[1])])
with Watch() as statistics:
    found = conclude(table_of(collected, Options(metrics=["accuracy"])))
with Watch() as both:
    found = conclude(table_of(collected, Options()))
with Watch() as bootstrap:
    conclude(table_of(collected, Options(metrics=["accuracy"], bootstrap=2000)))
values = sum(len(row.values) for row in found.rows)
watches = {"imports": imports, "reading": reading, "statistics": statistics, "statistics_of_two_metrics": both,
           "statistics_with_bootstrap": bootstrap}
print(json.dumps({f"{name}_s": watch.wall for name, watch in watches.items()}
                 | {f"{name}_cpu_s": watch.cpu for name, watch in watches.items()}
                 | {"rows": len(found.rows), "values": values}))
"""


def make_records(folder: Path, runs: int) -> None:
    """A sweep of `runs` jobs, five seeds a configuration, two metrics."""
    generator = random.Random(0)
    sample = {path.stem: json.loads(path.read_text()) for path in (SAMPLE / "0" / ".repro").glob("*.json")}
    plan = json.loads((SAMPLE / ".repro" / "sweep.json").read_text())
    fixed = {name: json.dumps(sample[name]) for name in ("code", "environment", "determinism")}
    jobs = []
    for number in range(runs):
        width, seed = divmod(number, SEEDS)
        overrides = ["+repro=strict", f"model.width={width}", f"seed={seed}"]
        record = folder / str(number) / ".repro"
        record.mkdir(parents=True)
        run = {**sample["run"], "run_id": uuid.UUID(int=generator.getrandbits(128)).hex, "seed": seed}
        run |= {"overrides": overrides, "sweep": {**run["sweep"], "id": plan["sweep_id"], "job_num": number}}
        config = json.loads(json.dumps(sample["config"]))
        for part in ("resolved", "unresolved"):
            config[part] |= {"seed": seed}
            config[part]["model"] |= {"width": width}
        result = {"accuracy": 0.9 + 0.01 * generator.gauss(0, 1), "loss": 0.3 + 0.01 * generator.gauss(0, 1)}
        for name, text in (
            ("run", json.dumps(run)),
            ("config", json.dumps(config)),
            ("result", json.dumps(result)),
            *fixed.items(),
        ):
            (record / f"{name}.json").write_text(text)
        jobs.append(
            {"num": number, "overrides": overrides, "dir": str(number), "seed": seed, "status": "completed"}
        )
    (folder / ".repro").mkdir()
    (folder / ".repro" / "sweep.json").write_text(json.dumps({**plan, "jobs": jobs}))


def measured(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_records(Path(folder, "sweep"), options.runs)
        command = [sys.executable, "-c", MEASURE, str(Path(folder, "sweep")), str(SAMPLE)]
        rounds = [measured(command) for _ in range(options.rounds)]
        memory = measured([*command, "memory"])
    found = {
        "runs": options.runs,
        "configurations": options.runs // SEEDS,
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        **memory,
        **{f"best_{name}": round(min(item[name] for item in rounds), 3) for name in rounds[0]},
        **{
            f"worst_{name}": round(max(item[name] for item in rounds), 3)
            for name in rounds[0]
            if "_s" in name
        },
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
