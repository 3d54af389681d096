"""`docs/guide.md`: each item of ours that it names exists."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import typer.main

import repro_hydra
from repro_hydra import config_groups
from repro_hydra.cli.app import command_line
from repro_hydra.record.paths import RunPaths

DOCS = Path(__file__).parents[1] / "docs"
OPTIONS = "hydra.callbacks.repro."
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (DOCS / "guide.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| the guide |")
]
OURS = "\n".join(row[1] for row in ROWS)


THE_GUIDES = """
set_deterministic_seeds verify_determinism deterministic_model_init save_model_state load_model_state
EnvironmentManager capture_environment get_installed_packages get_environment_variables get_hardware_info get_gpu_info
CUDA_VISIBLE_DEVICES PYTHONPATH LD_LIBRARY_PATH PATH HOME USER
create_conda_environment create_requirements_file create_dockerfile save_environment_snapshot
verify_environment_compatibility ExperimentTracker create_experiment log_experiment_result get_experiment_info
list_experiments capture_git_info reproduce_experiment compare_experiments DataVersionManager version_dataset
get_dataset_version list_dataset_versions verify_dataset_integrity calculate_file_hash get_directory_size
ResultValidator validate_numerical_results perform_cross_validation MultiRunValidation run_experiment
calculate_statistics check_reproducibility reproducibility.yaml environment experiment_tracking data_versioning
random_seeds logging enabled ReproducibilityPipeline setup_reproducible_environment run_reproducible_experiment
AutomatedReproducibilityTester run_reproducibility_tests assess_reproducibility debug_reproducibility_issues
""".split()  # noqa: SIM905 (read and mended as a text)
"""What somebody who comes with the guide in hand looks for."""


def named(pattern: str) -> list[str]:
    return sorted(set(re.findall(pattern, OURS)))


def test_every_row_says_what_is_here() -> None:
    assert len(ROWS) > 30
    assert [row for row in ROWS if len(row) != 3 or not row[1]] == []


def test_every_item_of_the_guide_is_found() -> None:
    """In the column of the guide's own names."""
    theirs = "\n".join(row[0] for row in ROWS)
    assert [item for item in THE_GUIDES if not re.search(rf"\b{re.escape(item)}\b", theirs)] == []


@pytest.mark.parametrize("name", named(r"`repro_hydra\.(\w+)`"))
def test_a_function_that_it_names_is_there(name: str) -> None:
    assert callable(getattr(repro_hydra, name))
    assert getattr(repro_hydra, name).__doc__
    assert name in dir(repro_hydra), "a notebook completes it"


@pytest.mark.parametrize("words", named(r"`repro-hydra ([\w -]+)`"))
def test_a_command_that_it_names_is_there(words: str) -> None:
    command: Any = typer.main.get_command(command_line())
    for word in words.split():
        assert word in getattr(command, "commands", {}), words
        command = command.commands[word]


@pytest.mark.parametrize("key", named(rf"`{re.escape(OPTIONS)}([\w.]+)`"))
def test_an_option_that_it_names_is_there(key: str) -> None:
    node: object = config_groups.strict_conf()
    for part in key.split("."):
        assert is_dataclass(node)
        assert part in {field.name for field in fields(node)}, key
        node = getattr(node, part)


@pytest.mark.parametrize("group", named(r"`\+(repro[\w/]*=\w+)`"))
def test_a_group_that_it_names_is_there(group: str) -> None:
    path, _, option = group.partition("=")
    _, _, nested = path.partition("/")
    assert option in (config_groups.NESTED_GROUPS[nested] if nested else config_groups.MODES)


@pytest.mark.parametrize("name", named(r"`(\w+\.(?:json|patch))`"))
def test_a_file_that_it_names_is_one_of_the_record(name: str) -> None:
    paths = RunPaths(Path("run"))
    ours = {
        getattr(paths, field).name
        for field in dir(RunPaths)
        if isinstance(getattr(RunPaths, field), property)
    }
    assert name in ours


@pytest.mark.parametrize("link", named(r"\]\(([\w./-]+)\)"))
def test_a_page_that_it_links_to_is_there(link: str) -> None:
    assert (DOCS / link).is_file()
