"""What strict says on a GPU: what it refuses, holds in force, or reports with its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from doors_project import Project, finding_ids, load, result
from gpu_project import new_project

HEAD = """\
import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
"""
TAIL = """

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def holding(tmp_path: Path) -> Callable[..., Project]:
    def make(*lines: str) -> Project:
        return new_project(tmp_path, HEAD + "".join(f"    {line}\n" for line in lines) + TAIL)

    return make


def test_an_operator_that_cannot_be_deterministic_is_refused_by_name(holding: Callable[..., Project]) -> None:
    """Which on the CPU has nothing against it."""
    project = holding('return float(torch.histc(torch.rand(1000, device="cuda"), 10).sum())')
    done = project.run("+repro=strict")
    assert done.code == 1
    name = "_histc_cuda with floating point input"
    assert f"[nondeterministic-op:{name}] train.py:7" in done.err, done.err
    (waiver,) = set(re.findall(r"'(hydra\.callbacks\.repro\.allow=[^']+)'", done.err))
    project.run("+repro=strict", waiver).ok()
    run = load(project.runs()[-1], "run")
    assert (run["upheld"], run["waived"]) == ("waived", {f"nondeterministic-op:{name}": "REASON"})


@pytest.mark.parametrize(
    ("line", "finding"),
    [
        (
            'drawn = torch.rand(1, device="cuda", generator=torch.Generator("cuda"))',
            "unseeded-generator:torch.Generator",
        ),
        ("torch.cuda.manual_seed(5)", "seeded-again:torch"),
        ("torch.cuda.seed_all()", "seeded-again:torch"),
        ("torch.backends.cudnn.benchmark = True", "weakening-ignored:cudnn.benchmark"),
        ("torch.backends.cuda.matmul.allow_tf32 = True", "weakening-ignored:precision.matmul"),
    ],
)
def test_it_is_reported_with_its_line(holding: Callable[..., Project], line: str, finding: str) -> None:
    """The result is kept."""
    project = holding(line, 'return float(torch.rand(1, device="cuda"))')
    done = project.run("+repro=strict").ok()
    run = load(project.only_run(), "run")
    found = [f for f in run["findings"] if f["id"].startswith(finding)]
    assert found, (finding_ids(project.only_run()), done.err)
    assert (found[0]["file"], found[0]["line"]) == ("train.py", 7)


def test_a_graph_captured_with_its_optimizer_trains_as_it_does_without_us(
    holding: Callable[..., Project],
) -> None:
    """Nothing of ours gets into a CUDA graph; what is replayed is not seen, and the run is as good as it was."""
    project = holding(
        "model = torch.nn.Linear(64, 64).cuda()",
        "optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, capturable=True)",
        'x = torch.randn(32, 64, device="cuda")',
        "side = torch.cuda.Stream()",
        "side.wait_stream(torch.cuda.current_stream())",
        "with torch.cuda.stream(side):",
        "    for _ in range(3):",
        "        optimizer.zero_grad(set_to_none=True)",
        "        model(x).square().mean().backward()",
        "        optimizer.step()",
        "torch.cuda.current_stream().wait_stream(side)",
        "graph = torch.cuda.CUDAGraph()",
        "optimizer.zero_grad(set_to_none=True)",
        "with torch.cuda.graph(graph):",
        "    loss = model(x).square().mean()",
        "    loss.backward()",
        "    optimizer.step()",
        "for _ in range(5):",
        "    graph.replay()",
        "return float(loss)",
    )
    for name in ("a", "b"):
        project.run("+repro=strict", f"hydra.run.dir=outputs/{name}").ok()
    a, b = (project.top / "outputs" / name / ".repro" for name in "ab")
    assert (a / "result.json").read_bytes() == (b / "result.json").read_bytes()
    assert (a / "fingerprints.jsonl").read_text() == (b / "fingerprints.jsonl").read_text()
    assert len((a / "fingerprints.jsonl").read_text().splitlines()) == 3
    assert load(a.parent, "run")["upheld"] == "yes"


def test_a_forked_child_can_use_the_gpu(holding: Callable[..., Project]) -> None:
    """As it can without us: before the task does so itself, nothing of ours has touched the device."""
    project = holding(
        "mp = torch.multiprocessing.get_context('fork')",
        "told = mp.Value('d')",
        "def child(): told.value = float(torch.ones(3, device='cuda').sum())",
        "process = mp.Process(target=child)",
        "process.start()",
        "process.join()",
        "return told.value",
    )
    project.run("+repro=strict").ok()
    project.run("-m", "+repro=strict", "seed=1,2").ok()
    assert [result(run) for run in project.runs()] == [{"objective": 3.0}] * 3
