"""Processes that another launcher (torchrun, srun) started side by side are one run."""

from __future__ import annotations

import json
import random

from doors_project import Project, load

SCRIPT = """\
import os
import random
import time
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig


def meet(place):
    # A barrier, as training has one: else rank 0 may have ended before rank 1 has come.
    (place / f"here_{os.environ['RANK']}").touch()
    limit = time.monotonic() + 60
    while len(list(place.glob("here_*"))) < 2:
        assert time.monotonic() < limit
        time.sleep(0.01)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    config = HydraConfig.get()
    meet(Path(config.runtime.output_dir))
    print(f"ran {config.job.name} in {config.runtime.output_dir} drew {random.random()}", flush=True)
    return 1.0


main()
"""
SHARED = {"WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "a", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}


def test_ranks_share_the_directory_and_the_record_of_rank_zero(project: Project) -> None:
    """As torchrun starts them: children of one launcher, with its variables, each with a clock of its own."""
    project.holding(SCRIPT)
    late = project.start("+repro=strict", variables=SHARED | {"RANK": "1"})
    first = project.run("+repro=strict", **SHARED, RANK="0").ok()
    text, _ = late.communicate(timeout=60)
    assert late.returncode == 0, text
    run = project.only_run()
    assert f"ran train_rank1 in {run}" in text
    assert f"ran train in {run}" in first.out
    # Each its own numbers: rank 1's are those of no other seed either.
    assert float(first.out.split("drew ")[1].split()[0]) == random.Random(1).random()
    assert float(text.split("drew ")[1].split()[0]) == random.Random(str(1 + 2**32)).random()
    record = load(run, "run")
    assert (record["rank"], record["world_size"]) == (0, 2)
    (signed_in,) = (run / ".repro" / "processes").glob("*.json")
    assert json.loads(signed_in.read_text())["process"]["role"] == "rank 1"
    assert (run / "train_rank1.log").exists()
    assert not [finding for finding in record["findings"] if finding["id"].startswith("same-stream")]


def test_no_rank_runs_once_more_what_has_completed(project: Project) -> None:
    """It would wait in a collective for rank 0, which has taken the result from the record."""
    project.holding(SCRIPT)
    again = ("+repro=strict", "hydra.run.dir=outputs/mine", "hydra.callbacks.repro.resume=true")
    for attempt in range(2):
        shared = SHARED | {"TORCHELASTIC_RUN_ID": str(attempt)}
        late = project.start(*again, variables=shared | {"RANK": "1"})
        project.run(*again, **shared, RANK="0").ok()
        text, _ = late.communicate(timeout=60)
        assert late.returncode == 0, text
        assert ("ran train_rank1" in text) is (attempt == 0)
        assert ("has completed already" in text) is (attempt == 1)


def test_ranks_that_draw_the_same_numbers_are_named_with_the_line_that_seeded_them(project: Project) -> None:
    """It may be meant, so that it takes nothing away from the run."""
    script = SCRIPT.replace("    config = ", "    random.seed(cfg.seed)\n    config = ", 1)
    project.holding(script)
    late = project.start("+repro=strict", variables=SHARED | {"RANK": "1"})
    project.run("+repro=strict", **SHARED, RANK="0").ok()
    text, _ = late.communicate(timeout=60)
    assert late.returncode == 0, text
    record = load(project.only_run(), "run")
    (finding,) = (f for f in record["findings"] if f["id"].startswith("same-stream"))
    assert (finding["id"], finding["severity"]) == ("same-stream:python", "harmless")
    line = script.splitlines().index("    random.seed(cfg.seed)") + 1
    assert (finding["file"], finding["line"]) == ("train.py", line)
    assert "rank 0 and rank 1 drew the same numbers" in finding["message"]
    assert record["upheld"] == "yes"


def test_what_rank_zero_refuses_no_rank_runs(project: Project) -> None:
    project.holding(SCRIPT)
    late = project.start("+repro=strict", "seed=-1", variables=SHARED | {"RANK": "1"})
    first = project.run("+repro=strict", "seed=-1", **SHARED, RANK="0")
    text, _ = late.communicate(timeout=60)
    assert (first.code, late.returncode) == (2, 1), text
    assert "rank 0 refused the run" in text
    assert "ran train" not in text


def test_rank_zero_tells_why_where_it_cannot_leave_a_note(project: Project) -> None:
    """The note that the other ranks wait for has no place; the reason of the refusal is still the message."""
    project.holding(SCRIPT)
    project.write("outputs", "a file in the way")
    done = project.run("+repro=strict", **SHARED, RANK="0")
    assert done.code == 1
    assert "[output-not-writable:" in done.text
    assert "failure of its own" not in done.text
