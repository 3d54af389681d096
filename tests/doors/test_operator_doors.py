"""An operator without a deterministic implementation, through Hydra's door."""

from __future__ import annotations

from doors_project import Project, load, result

UNPOOLING_SCRIPT = """\
import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    pooled, where = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    return {"sum": float(torch.nn.functional.max_unpool2d(pooled, where, 2).sum())}


main()
"""
ID = "nondeterministic-op:max_unpooling2d_forward_out"
WAIVER = r"hydra.callbacks.repro.allow={nondeterministic-op\:max_unpooling2d_forward_out: REASON}"


def test_one_operator_is_refused_by_name_and_waived_by_the_line_that_the_refusal_offers(
    project: Project,
) -> None:
    """The error names the line, the id and the override; with it the run is done, and its promise waived."""
    project.holding(UNPOOLING_SCRIPT)
    told = project.run("+repro=strict")
    assert told.code == 1
    assert f"[{ID}] train.py:9" in told.err
    assert f"'{WAIVER}'" in told.err.replace("RuntimeError: ", "")
    refused = project.only_run()
    run = load(refused, "run")
    assert (run["status"], run["upheld"]) == ("failed", "no")
    assert WAIVER in run["error"]["message"]
    assert [(f["id"], f["file"], f["line"]) for f in run["findings"] if f["severity"] == "blocks"] == [
        (ID, "train.py", 9)
    ]

    project.run("+repro=strict", WAIVER).ok()
    run_dir = project.runs()[-1]
    run = load(run_dir, "run")
    assert (run["status"], run["upheld"], run["waived"]) == ("completed", "waived", {ID: "REASON"})
    assert result(run_dir) == {"sum": 5.0 + 7.0 + 13.0 + 15.0}
    rows = {row["name"]: row for row in load(run_dir, "determinism")["settings"]}
    assert rows["torch.deterministic_algorithms"]["in_force"] is True
    assert rows["torch.deterministic_algorithms"]["exit"] == "enforce"
