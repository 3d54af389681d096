"""`repro_hydra.determinism.operators`: one operator let through by name, all others refused."""

from __future__ import annotations

from typing import Any

from scenarios import told_by

from repro_hydra.determinism.operators import operator_in, refused_operator
from repro_hydra.session.findings import waived_operators

BEGIN = """
import json, warnings
import torch
from repro_hydra.determinism.operators import LetThrough, operator_in, refusal_in

torch.use_deterministic_algorithms(True)
UNPOOL = "max_unpooling2d_forward_out"
filters = list(warnings.filters)
let = LetThrough(lambda name: name == UNPOOL, "/")
let.install()

pooled, where = torch.nn.functional.max_pool2d(torch.randn(1, 1, 4, 4), 2, return_indices=True)

def unpool():
    return torch.nn.functional.max_unpool2d(pooled, where, 2)

def put():
    return torch.zeros(4).put_(torch.tensor([0, 0]), torch.tensor([1.0, 2.0]))

def refused(action):
    try:
        action()
    except Exception as error:
        found = refusal_in(error)
        return None if found is None else found[1]
    return "ran"
"""


def scenario(source: str) -> dict[str, Any]:
    answer: dict[str, Any] = told_by(BEGIN, source, "-W", "error")
    return answer


def test_the_waived_operator_runs_forward_and_backward_and_no_other_does() -> None:
    """Also where one operator calls another: what was not waived is refused there too, before and after."""
    told = scenario(
        """
        class Backward(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                return x.clone()

            @staticmethod
            def backward(ctx, grad):
                return grad + unpool()

        x = torch.zeros(1, 1, 4, 4, requires_grad=True)
        Backward.apply(x).sum().backward()

        @torch.library.custom_op("ours::both", mutates_args=())
        def both(x: torch.Tensor) -> torch.Tensor:
            return unpool() + put()[0]

        answer = {
            "gradient": bool((x.grad == 1 + unpool()).all()),
            "other": refused(put),
            "inner": refused(lambda: torch.ops.ours.both(torch.ones(1))),
            "still": [refused(put), torch.is_deterministic_algorithms_warn_only_enabled()],
            "found": [[f.id, f.severity, f.message] for f in let.findings()],
        }
        let.stop()
        answer |= {"after": [refused(unpool), refused(put)], "filters": warnings.filters == filters}
        print(json.dumps(answer))
        """
    )
    (found,) = told.pop("found")
    assert found[:2] == ["nondeterministic-op:max_unpooling2d_forward_out", "may_change_bits"]
    assert "let through 3 times" in found[2]
    assert told == {
        "gradient": True,
        "other": "put_",
        "inner": "put_",
        "still": ["put_", False],
        "after": ["max_unpooling2d_forward_out", "put_"],
        "filters": True,
    }


def test_an_operator_that_torch_only_warns_of_is_written_down() -> None:
    """In standard; the warning is shown all the same, and the hook is gone after."""
    told = scenario(
        """
        from repro_hydra.determinism.operators import Warned
        let.stop()
        warnings.simplefilter("default")
        torch.use_deterministic_algorithms(True, warn_only=True)
        shown = []
        warnings.showwarning = lambda message, *rest, **named: shown.append(str(message))
        mine = warnings.showwarning
        warned = Warned("/")
        warned.install()
        put(), put()
        warnings.warn("another matter")
        warned.stop()
        print(json.dumps({"found": [[f.id, f.severity] for f in warned.findings()], "shown": len(shown),
                          "back": warnings.showwarning is mine}))
        """
    )
    assert told == {"found": [["nondeterministic-op:put_", "may_change_bits"]], "shown": 2, "back": True}


def test_only_torchs_refusal_is_taken_for_one() -> None:
    """An error of the user's that speaks of determinism stays as it is; a wrapped refusal is found."""
    refusal = "kthvalue CUDA does not have a deterministic implementation, but you set …"
    assert operator_in(refusal) == "kthvalue CUDA"
    assert operator_in("it has no deterministic implementation") is None
    assert refused_operator(ValueError(refusal), "/") is None
    try:
        try:
            raise RuntimeError(refusal)
        except RuntimeError as inner:
            raise KeyError("step failed") from inner
    except KeyError as outer:
        found = refused_operator(outer, "/")
    assert found is not None
    assert isinstance(found[0], RuntimeError)
    assert found[1].id == "nondeterministic-op:kthvalue CUDA"
    assert found[1].file is not None
    assert found[1].file.endswith("test_determinism_operators.py")


def test_a_waiver_names_its_operator() -> None:
    """However Hydra hands the key over; without such a waiver no dispatch mode is needed."""
    assert waived_operators({"undeclared-input:x": "old", "nondeterministic": "no"}) is None
    for allow in (
        {"nondeterministic-op:put_": "known"},
        {"nondeterministic-op": "put_: known"},
        {"nondeterministic-op?put_": "known"},
    ):
        waived = waived_operators(allow)
        assert waived is not None
        assert waived("put_")
        assert not waived("put")


def test_filters_of_the_program_are_its_own() -> None:
    """What is undone at the end is what was done, and nothing that the program added meanwhile."""
    told = scenario(
        """
        warnings.filterwarnings("ignore", message="mine")
        mine = warnings.filters[0]
        unpool()
        let.stop()
        print(json.dumps({"mine": mine in warnings.filters, "count": len(warnings.filters) - len(filters)}))
        """
    )
    assert told == {"mine": True, "count": 1}


def test_an_operator_that_takes_functions_runs_below_it() -> None:
    """torch refuses those below a mode that does not say it can."""
    told = scenario(
        """
        warnings.simplefilter("ignore")  # of torch's own compiler
        made = torch.cond(torch.tensor(True), lambda x: x + 1, lambda x: x - 1, (torch.ones(2),))
        print(json.dumps({"made": made.tolist(), "unpool": refused(unpool), "put": refused(put)}))
        """
    )
    assert told == {"made": [2.0, 2.0], "unpool": "ran", "put": "put_"}
