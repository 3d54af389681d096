"""The package as a whole: cheap to import, closed to the layers above, all results alike."""

from __future__ import annotations

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from repro_hydra import stats

PACKAGE = Path(stats.__file__).parent


def test_import_loads_neither_numpy_nor_scipy() -> None:
    """In a fresh interpreter `import repro_hydra.stats` loads nothing heavy."""
    program = (
        "import sys, repro_hydra.stats\n"
        "print([m for m in ('numpy', 'scipy', 'torch', 'hydra', 'omegaconf', 'git', 'pandas') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_summary_needs_no_scipy_stats() -> None:
    """A table of summaries pays for `scipy.special` only, which is three times as fast to import."""
    program = (
        "import sys; from repro_hydra.stats import summarize; summarize([1, 2, 3])\n"
        "print('scipy.special' in sys.modules, 'scipy.stats' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.name)
def test_nothing_above_is_imported(path: Path) -> None:
    """Arrays in, results out: only the standard library, NumPy, SciPy and this package itself."""
    allowed = {*sys.stdlib_module_names, "numpy", "scipy"}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.append(node.module or "")
        for name in names:
            assert name.split(".")[0] in allowed or name.startswith("repro_hydra.stats"), name
            assert name.split(".")[0] not in {"os", "random", "pathlib", "io", "time"}, name


def test_results_are_frozen_slotted_and_keyword_only() -> None:
    """No result can be changed after the fact, nor built by position."""
    results = [item for item in vars(stats).values() if dataclasses.is_dataclass(item)]
    assert len(results) == 13
    for result in results:
        parameters = result.__dataclass_params__  # type: ignore[union-attr]
        assert parameters.frozen, result
        assert hasattr(result, "__slots__"), result
        assert all(field.kw_only for field in dataclasses.fields(result)), result
        assert (
            any(field.name == "notes" for field in dataclasses.fields(result)) or result is stats.PairedSeeds
        )
