"""`repro_hydra.determinism.watch`: settings put in force, probed, and held against whoever changes them.

torch's settings are global, so each scenario has a process of its own, which prints what the watch says.
"""

from __future__ import annotations

import os
from typing import Any

from scenarios import told_by

from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import SETTINGS, required_variables
from repro_hydra.determinism.addresses import fixed_for_children

BEGIN = """
import json, sys
from repro_hydra.config import DeterminismConf, TorchDeterminism
from repro_hydra.determinism import SettingsWatch
from repro_hydra.imports import LateImports

def begin(**options):
    late = LateImports()
    late.install()
    watch = SettingsWatch(DeterminismConf(**options), late.when_imported)
    watch.enter()
    return watch

def end(watch, **more):
    watch.probe_exit()
    rows = {row.name: [row.asked, row.entry, row.first_step, row.exit, row.in_force]
            for row in watch.record().settings}
    print(json.dumps({"entry": [f.id for f in watch.entry_findings()],
                      "changed": [f.id for f in watch.change_findings()], "rows": rows, **more}))
"""


def scenario(source: str, *, right: bool = True, changed: dict[str, str] | None = None) -> dict[str, Any]:
    """What the scenario prints; `right` starts its interpreter with the variables that strict wants."""
    required = required_variables(DeterminismConf(), {}) | (changed or {})
    environ = {name: value for name, value in os.environ.items() if name not in required}
    with fixed_for_children(right):
        answer: dict[str, Any] = told_by(BEGIN, source, environ=environ | (required if right else {}))
    return answer


def test_torch_imported_in_the_task_is_made_deterministic_on_import() -> None:
    """The watch imports nothing; torch that comes later is set, probed at the first step, and holds to the end."""
    told = scenario(
        """
        watch = begin()
        early = "torch" in sys.modules
        import torch
        weight = torch.nn.Parameter(torch.ones(2))
        optimizer = torch.optim.SGD([weight], lr=0.1)
        for _ in range(2):
            weight.sum().backward()
            optimizer.step()
        end(watch, early=early, on=torch.are_deterministic_algorithms_enabled(), threads=torch.get_num_threads())
        """
    )
    assert (told["early"], told["on"], told["threads"]) == (False, True, 1)
    assert told["entry"] == told["changed"] == []
    assert told["rows"]["torch.deterministic_algorithms"] == ["enforce"] * 4 + [True]
    assert told["rows"]["torch.threads"] == [1, 1, 1, 1, True]
    assert told["rows"]["cudnn.benchmark"] == [False, False, False, False, True]


def test_weakening_calls_take_no_effect_and_are_named() -> None:
    """What strict enforces stays enforced whoever switches it off, as Lightning does; each line is written down."""
    told = scenario(
        """
        watch = begin()
        import torch
        weight = torch.nn.Parameter(torch.ones(2))
        torch.use_deterministic_algorithms(False)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_deterministic_debug_mode("warn")
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.deterministic = False
        torch.utils.deterministic.fill_uninitialized_memory = False
        torch.set_num_threads(2)
        with torch.backends.cudnn.flags(enabled=False):
            pass
        weight.sum().backward()
        torch.optim.SGD([weight], lr=0.1).step()
        end(watch)
        import torch
        torch.use_deterministic_algorithms(False)
        assert not torch.are_deterministic_algorithms_enabled()
        torch.backends.cudnn.benchmark = True
        assert torch.backends.cudnn.benchmark
        """
    )
    assert {finding.split("@")[0] for finding in told["changed"]} == {
        "weakening-ignored:torch.deterministic_algorithms",
        "weakening-ignored:cudnn.benchmark",
        "weakening-ignored:cudnn.deterministic",
        "weakening-ignored:torch.fill_uninitialized_memory",
        "weakening-ignored:torch.threads",
        "weakening-ignored:precision.cudnn_convolution",  # `cudnn.flags` asks for TF32 unless told otherwise
    }
    assert told["rows"]["torch.deterministic_algorithms"] == ["enforce"] * 4 + [True]
    assert told["rows"]["cudnn.benchmark"] == [False] * 4 + [True]
    assert told["rows"]["torch.threads"] == [1] * 4 + [True]


def test_a_worker_may_give_itself_one_thread() -> None:
    """A DataLoader's worker does, and must: a forked child that computes with more of them hangs."""
    told = scenario(
        """
        watch = begin(threads=2)
        import torch
        torch.ones(500, 500) @ torch.ones(500, 500)

        class Threads(torch.utils.data.Dataset):
            def __len__(self):
                return 1
            def __getitem__(self, _):
                return torch.get_num_threads(), float((torch.ones(500, 500) @ torch.ones(500, 500)).sum())

        (count, total), = torch.utils.data.DataLoader(Threads(), num_workers=1, batch_size=None, timeout=60)
        end(watch, worker=int(count), total=float(total), main=torch.get_num_threads())
        """
    )
    assert (told["worker"], told["total"], told["main"]) == (1, 500.0**3, 2)


def test_what_the_guard_does_not_stand_before_is_found_by_the_probes() -> None:
    """A change that went around the guard is found at the first step, also if it is put back, and at exit."""
    told = scenario(
        """
        watch = begin()
        import torch
        weight = torch.nn.Parameter(torch.ones(2))
        torch._C._set_deterministic_algorithms(True, warn_only=True)
        weight.sum().backward()
        torch.optim.SGD([weight], lr=0.1).step()
        torch.use_deterministic_algorithms(True)
        torch._C.set_num_threads(2) if hasattr(torch._C, "set_num_threads") else None
        end(watch)
        """
    )
    assert "setting-changed:torch.deterministic_algorithms" in told["changed"]
    assert told["rows"]["torch.deterministic_algorithms"] == ["enforce", "enforce", "warn", "enforce", False]


def test_under_warn_the_users_own_calls_stand() -> None:
    """In standard nothing is held: what changed is found at exit."""
    told = scenario(
        """
        watch = begin(torch=TorchDeterminism.warn)
        import torch
        torch.backends.cudnn.benchmark = True
        end(watch)
        """
    )
    assert told["changed"] == ["setting-changed:cudnn.benchmark"]


def test_an_interpreter_started_without_the_variables_is_not_in_force_at_entry() -> None:
    """What only the start could have set is found at entry, also where the variable was assigned since."""
    told = scenario(
        """
        import os
        os.environ["PYTHONHASHSEED"] = "0"
        end(begin())
        """,
        right=False,
    )
    assert "setting-not-in-force:hash_seed" in told["entry"]
    assert "setting-not-in-force:environment.OMP_NUM_THREADS" in told["entry"]
    assert "setting-not-in-force:cublas_workspace" in told["entry"]
    assert told["rows"]["hash_seed"][:2] == ["0", "random"]


def test_what_is_off_is_recorded_and_not_touched() -> None:
    """With nothing asked for, torch's settings stay the user's, and the record states them without a verdict."""
    told = scenario(
        """
        watch = begin(torch=TorchDeterminism.off, threads=None, interpreter=False)
        import torch
        torch.backends.cudnn.benchmark = True
        end(watch)
        """,
        right=False,
    )
    assert told["entry"] == told["changed"] == []
    assert told["rows"]["cudnn.benchmark"] == [None, False, None, True, None]
    assert told["rows"]["torch.deterministic_algorithms"] == [None, "off", None, "off", None]


def test_warn_is_recorded_as_warn() -> None:
    """`warn_only` is not determinism, and is never recorded as enforced."""
    told = scenario("watch = begin(torch=TorchDeterminism.warn)\nimport torch\nend(watch)\n")
    assert told["rows"]["torch.deterministic_algorithms"] == ["warn", "warn", None, "warn", True]


def test_without_torch_its_settings_are_neither_held_nor_broken() -> None:
    """A script that never imports torch has no verdict on its settings, and no finding."""
    told = scenario("end(begin(), torch='torch' in sys.modules)\n")
    assert told["torch"] is False
    assert told["entry"] == told["changed"] == []
    assert told["rows"]["torch.threads"] == [None, None, None, None, None]


def test_every_setting_says_why_when_and_how() -> None:
    """The table is what the record and the documentation are made of: no row has a blank, no name comes twice."""
    names = [setting.name for setting in SETTINGS]
    assert len(names) == len(set(names))
    assert all(setting.why and setting.when and setting.how_probed for setting in SETTINGS)


def test_what_comes_too_late_is_not_in_force_and_says_why() -> None:
    """torch takes interop threads once, and a cuBLAS handle keeps the workspace that it was made with."""
    told = scenario(
        """
        import os, torch
        torch.set_num_interop_threads(2)
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":16:8"
        torch.cuda.is_initialized = lambda: True  # as after the script's first tensor on a GPU
        watch = begin()
        messages = {f.id: f.message for f in watch.entry_findings()}
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        end(watch, messages=messages)
        """,
        changed={"CUBLAS_WORKSPACE_CONFIG": ""},
    )
    assert told["entry"] == [
        "setting-not-in-force:cublas_workspace",
        "setting-not-in-force:torch.interop_threads",
    ]
    assert "set_num_interop_threads called" in told["messages"]["setting-not-in-force:torch.interop_threads"]
    assert told["rows"]["torch.interop_threads"][1:] == [2, None, 2, False]


def test_precision_is_held_however_it_is_asked_for() -> None:
    """By the old switches and the new ones, whose mixture makes torch's own getters raise; and given back after."""
    told = scenario(
        """
        import torch
        torch.set_float32_matmul_precision("high")
        watch = begin()
        entry = watch.entry_findings()
        b = torch.backends
        torch.set_float32_matmul_precision("medium")
        b.cuda.matmul.allow_tf32 = True
        b.cudnn.allow_tf32 = True
        b.cudnn.conv.fp32_precision = "tf32"
        b.cuda.matmul.fp32_precision = "tf32"
        b.fp32_precision = "bf16"
        b.cuda.matmul.allow_fp16_reduced_precision_reduction = True
        b.cuda.matmul.allow_bf16_reduced_precision_reduction = (True, False)
        b.cuda.matmul.fp32_precision = "ieee"
        read = [torch.get_float32_matmul_precision(), b.cuda.matmul.allow_tf32, b.cudnn.allow_tf32]
        end(watch, read=read, lines=len(watch.change_findings()))
        b.cudnn.allow_tf32 = True
        assert b.cudnn.allow_tf32
        """
    )
    assert told["entry"] == ["setting-overridden:precision.matmul"]
    assert told["read"] == ["highest", False, False]
    assert told["lines"] == 8
    for name in ("matmul", "cpu_matmul", "cudnn_convolution", "cudnn_recurrent"):
        assert told["rows"][f"precision.{name}"] == ["ieee", "ieee", None, "ieee", True], name
    for name in ("fp16_reduction", "bf16_reduction"):
        assert told["rows"][f"precision.{name}"] == [False, False, None, False, True], name


def test_what_a_library_imported_in_the_task_does_not_take_is_told_at_the_end() -> None:
    """At entry it was not there to be asked; the probe after its import finds another value."""
    told = scenario(
        """
        watch = begin()
        first = [f.id for f in watch.entry_findings()]
        from repro_hydra.determinism import torch_settings
        before = torch_settings.torch_module
        def used_already():  # somebody else's import hook, which came first
            torch = before()
            if not hasattr(torch, "used"):
                torch.used = True
                torch.set_num_interop_threads(2)
            return torch
        torch_settings.torch_module = used_already
        import torch
        watch.probe_exit()
        print(json.dumps({"first": first, "changed": [[f.id, f.severity] for f in watch.change_findings()]}))
        """
    )
    assert told["first"] == []
    assert ["setting-not-in-force:torch.interop_threads", "may_change_bits"] in told["changed"]


def test_hooks_of_the_program_on_all_optimizers_go_on_beside_ours() -> None:
    """torch goes through its hooks at each step: the probe at the first one must not take itself out meanwhile."""
    found = scenario("""
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook
register_optimizer_step_pre_hook(lambda *_: calls.append("before ours"))
watch = begin()
register_optimizer_step_pre_hook(lambda *_: calls.append("after ours"))
calls = []
parameter = torch.nn.Parameter(torch.zeros(1))
optimizer = torch.optim.SGD([parameter], lr=0.1)
for _ in range(2):
    parameter.grad = torch.ones(1)
    optimizer.step()
end(watch, calls=calls)
""")
    assert found["calls"] == ["before ours", "after ours"] * 2
    assert found["rows"]["torch.deterministic_algorithms"] == ["enforce"] * 4 + [True]
