"""The operators of some steps written down, and two such lists held against each other."""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from repro_hydra.explain.operators import Parted, first_parted
from repro_hydra.fingerprint import operators
from repro_hydra.fingerprint.operator_lines import lines_in, values_in
from repro_hydra.fingerprint.operators import OperatorTrace

torch = pytest.importorskip("torch")

HERE = Path(__file__)
Change = Callable[[str, int], float]


def nothing(_where: str, _step: int) -> float:
    return 0.0


class Noisy(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, x: Any, change: Change, step: int) -> Any:
        ctx.noise = change("backward", step)
        return x * 1

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient + torch.tensor(ctx.noise), None, None  # in backward


class Model(torch.nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(3, 4)
        self.drop = torch.nn.Dropout(0.5)
        self.table = torch.nn.Parameter(torch.randn(5, 4))

    def forward(self, x: Any, change: Change, step: int) -> Any:
        y = self.drop(self.first(x)) + self.table[torch.arange(8) % 5]  # in forward
        y = torch.add(y, change("forward", step))  # from outside
        return Noisy.apply(y, change, step).sum()


def trained(path: Path, change: Change = nothing, steps: range = range(4), seed: int = 0) -> list[str]:
    """Train four steps with the operators of `steps` written to `path`; what failed of ours."""
    failed: list[str] = []
    trace = OperatorTrace(
        path, lambda error: failed.append(str(error)), str(HERE.parent), optimizer_index=0, steps=steps
    )
    torch.manual_seed(0)
    data = torch.randn(8, 3)
    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(seed)
    trace.install()
    try:
        for step in range(4):
            optimizer.zero_grad()
            model(data, change, step).backward()
            if change("way", step):
                torch.sin(data)
            for group in optimizer.param_groups:
                group["lr"] = 0.1 + change("optimizer", step)
            optimizer.step()
            trace.stepped(0, step + 1)
    finally:
        trace.stop()
    assert torch.utils._python_dispatch._get_current_dispatch_mode() is None
    return failed


def at(where: str, step: int) -> Change:
    """1e-3 at one place of one step, and nothing anywhere else."""
    return lambda place, now: 1e-3 if (place, now) == (where, step) else 0.0


def line_of(text: str) -> int:
    lines = HERE.read_text().splitlines()
    return next(number for number, line in enumerate(lines, start=1) if line.endswith(text))


@pytest.fixture
def parted(tmp_path: Path) -> Callable[..., Parted | None]:
    """Where a training parts from one with nothing changed."""
    numbers = itertools.count()

    def compared(change: Change = nothing, **options: Any) -> Parted | None:
        a, b = (tmp_path / f"{next(numbers)}.jsonl" for _ in "ab")
        assert trained(a, steps=options.get("steps", range(4))) == []
        assert trained(b, change, **options) == []
        return first_parted(a, b)

    return compared


@pytest.fixture(autouse=True)
def as_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file alone is a user's: not pytest, whatever it is installed in."""
    monkeypatch.setattr(operators, "is_users", lambda filename: filename == __file__)


def test_equal_trainings_do_not_part(parted: Any) -> None:
    assert parted() is None


def test_a_number_from_outside_in_the_forward_pass(parted: Any) -> None:
    found = parted(at("forward", 2))
    line = found.line
    assert (line.op, line.phase, line.step, line.module) == ("aten.add.Tensor", "forward", 2, "Model")
    assert (line.site.file, line.site.line) == (HERE.name, line_of("# from outside"))
    assert (found.inputs_equal, found.drew, found.same_call) == (False, False, True)
    assert found.largest == pytest.approx(1e-3, rel=1e-3)


def test_a_backward_of_the_users_own(parted: Any) -> None:
    """Its own line, not that of its forward."""
    found = parted(at("backward", 1))
    line = found.line
    assert (line.op, line.phase, line.step) == ("aten.lift_fresh.default", "backward", 1)
    assert line.site.line == line_of("# in backward")


def test_an_operator_of_a_backward_pass_has_the_line_of_its_forward(tmp_path: Path) -> None:
    """Where only torch's own code calls it; and the module whose forward that was."""
    assert trained(tmp_path / "a.jsonl") == []
    lines = list(lines_in(tmp_path / "a.jsonl"))
    (put,) = [line for line in lines if line.op.startswith("aten.index_put") and line.step == 0]
    assert (put.phase, put.module, put.site and put.site.line) == (
        "backward",
        "Model",
        line_of("# in forward"),
    )
    assert {line.module for line in lines if line.op.startswith("aten.bernoulli_")} == {"drop"}
    assert {line.phase for line in lines} == {"forward", "backward", "optimizer"}
    assert not [line.op for line in lines if line.op.startswith("aten.empty")]
    assert {line.view for line in lines if line.op.startswith("aten.t.")} == {True}
    (add, *_) = [line for line in lines if line.op == "aten.add.Tensor"]
    assert add.kept[0] is not None
    assert len(values_in(tmp_path / "a.jsonl", add.kept[0])) == 32


def test_a_generator_in_another_state(parted: Any) -> None:
    found = parted(seed=1)
    assert (found.line.op.startswith("aten.bernoulli_"), found.drew, found.line.module) == (
        True,
        True,
        "drop",
    )


def test_a_rate_of_the_optimizer(parted: Any) -> None:
    found = parted(at("optimizer", 1))
    assert (found.line.phase, found.line.step) == ("optimizer", 1)


def test_another_way_through_the_program(parted: Any) -> None:
    """An operator that only one of them calls; at the end of the list, too."""
    found = parted(at("way", 1))
    assert (found.same_call, found.b.op) == (False, "aten.sin.default")
    assert (found.inputs_equal, found.drew) == (False, False)


def test_only_the_steps_that_are_asked_for(parted: Any, tmp_path: Path) -> None:
    """The mode is on within them and gone after; what parts before shows in what comes in."""
    assert trained(tmp_path / "some.jsonl", steps=range(2, 3)) == []
    assert {line.step for line in lines_in(tmp_path / "some.jsonl")} == {2}
    assert parted(at("forward", 3), steps=range(2, 3)) is None


def test_memory_that_is_written_over_is_no_difference(tmp_path: Path) -> None:
    """What lies in fresh memory differs from process to process, and is an input of what writes over it."""
    traces = [tmp_path / f"{name}.jsonl" for name in "ab"]
    for path, lay_there in zip(traces, (1.0, 2.0), strict=True):
        trace = OperatorTrace(path, pytest.fail, str(HERE.parent), optimizer_index=0, steps=range(1))
        fresh = torch.full((4,), lay_there)
        trace.install()
        torch.add(torch.ones(4), 1, out=fresh)
        fresh.zero_()
        trace.stop()
    before, after = (list(lines_in(path)) for path in traces)
    assert [line.op for line in before] == ["aten.ones.default", "aten.add.out", "aten.zero_.default"]
    assert before[1].inputs != after[1].inputs
    assert first_parted(*traces) is None


def line(op: str, inputs: str, outputs: str, **more: Any) -> dict[str, Any]:
    """A line as a run writes it; a digest is a word."""
    made = {"step": 0, "op": op, "phase": "forward", "inputs": inputs.split(), "outputs": outputs.split()}
    return made | {"kept": [None] * len(made["outputs"])} | more


def parted_by(tmp_path: Path, a: list[dict[str, Any]], b: list[dict[str, Any]]) -> str | None:
    for name, lines in (("a", a), ("b", b)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    found = first_parted(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    return None if found is None else found.line.op


def test_a_difference_from_which_nothing_follows_is_passed_over(tmp_path: Path) -> None:
    """The workspace of an operator, of which a part is never written: what uses it gives the same."""
    a = [
        line("rnn", "x", "y w1"),
        line("view", "w1", "v1", view=True),
        line("back", "v1", "g"),
        line("add", "g", "s1"),
    ]
    b = [
        line("rnn", "x", "y w2"),
        line("view", "w2", "v2", view=True),
        line("back", "v2", "g"),
        line("add", "g", "s2"),
    ]
    assert parted_by(tmp_path, a, b) == "add"
    assert parted_by(tmp_path, a[:3], b[:3]) is None
    assert parted_by(tmp_path, a[:1], b[:1]) is None
    b[2] = line("back", "v2", "g2")  # now it does follow, through the view
    assert parted_by(tmp_path, a, b) == "rnn"


def test_a_difference_that_leaves_torchs_sight_counts(tmp_path: Path) -> None:
    """Read by NumPy, lost in what is added to, or the last of a training."""
    assert parted_by(tmp_path, *[[line("put", "x", g), line("add_", g, "w")] for g in ("g1", "g2")]) == "put"
    a = [line("mul", "x", "y1"), line("add", "z1", "s1"), line("sum", "s1", "t1")]
    b = [line("mul", "x", "y2"), line("add", "z2", "s2"), line("sum", "s2", "t2")]
    assert parted_by(tmp_path, a, b) == "mul"
    assert parted_by(tmp_path, [line("step_", "g", "p q1")], [line("step_", "g", "p q2")]) is None
    written = [[line("step_", "g", f"p {digest}", writes=True)] for digest in ("q1", "q2")]
    assert parted_by(tmp_path, *written) == "step_"


def test_operators_of_many_kinds_are_written_down_alike(tmp_path: Path) -> None:
    """Sparse, quantized, nested, complex, half as wide, recurrent; by every kind of optimizer."""
    traces = [tmp_path / f"{name}.jsonl" for name in "ab"]
    for path in traces:
        torch.manual_seed(0)
        trace = OperatorTrace(path, pytest.fail, str(HERE.parent), optimizer_index=0, steps=range(1))
        trace.install()
        try:
            lstm, table = torch.nn.LSTM(5, 6), torch.nn.Embedding(20, 5, sparse=True)
            batch = torch.nn.BatchNorm1d(6)
            for options in ({"foreach": True}, {"fused": True}, {"foreach": False}):
                optimizer = torch.optim.Adam([*lstm.parameters(), *batch.parameters()], **options)
                loss = batch(lstm(table(torch.randint(0, 20, (4, 3))))[0][-1]).square().mean()
                with torch.autocast("cpu", torch.bfloat16):
                    loss = loss + (torch.randn(3, 4) @ torch.randn(4, 2)).float().mean()
                loss = loss + torch.fft.fft(torch.randn(8)).abs().mean()
                loss.backward()
                optimizer.step()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is to go away, or to come
                torch.cond(loss > 0, lambda x: x + 1, lambda x: x - 1, (torch.ones(2),))
                torch.nested.nested_tensor([torch.randn(2, 3), torch.randn(1, 3)])
                torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8).dequantize()
        finally:
            trace.stop()
    assert len(list(lines_in(traces[0]))) > 100
    assert first_parted(*traces) is None


def test_a_failure_of_ours_costs_the_training_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once, and no more is written down."""
    monkeypatch.setattr(operators, "digest_of", lambda _value: 1 // 0)
    assert trained(tmp_path / "a.jsonl") == ["integer division or modulo by zero"]
    assert list(lines_in(tmp_path / "a.jsonl")) == []


def test_a_list_that_a_killed_run_left_is_read_as_far_as_it_is_whole(tmp_path: Path) -> None:
    trained(tmp_path / "a.jsonl")
    whole = (tmp_path / "a.jsonl").read_bytes()
    (tmp_path / "b.jsonl").write_bytes(whole[:-20])
    assert len(list(lines_in(tmp_path / "b.jsonl"))) == len(whole.splitlines()) - 1


def test_no_more_calls_are_written_than_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, so that nobody takes the end of the list for the end of the training."""
    monkeypatch.setattr(operators, "MOST_LINES", 10)
    assert trained(tmp_path / "a.jsonl") == ["these steps have more than 10 calls of operators"]
    assert len(list(lines_in(tmp_path / "a.jsonl"))) == 10


def test_no_more_values_are_kept_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then digests alone tell."""
    monkeypatch.setattr(operators, "_MOST_KEPT_BYTES", 100)
    trained(tmp_path / "a.jsonl")
    kept = [place for line in lines_in(tmp_path / "a.jsonl") for place in line.kept if not line.view]
    assert kept[0] is not None
    assert kept[-1] is None
