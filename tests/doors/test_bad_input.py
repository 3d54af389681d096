"""Bad input: one clear message, a status that says so, never a traceback, and nothing created."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from doors_project import DRAWING_SCRIPT, PLAIN_CONFIG, Project, finding_ids, load, result


def unfollowed(tmp_path: Path, environment: dict[str, str]) -> Project:
    """A folder that is in no git repository."""
    top = tmp_path / "plain"
    top.mkdir()
    plain = Project(top, environment)
    plain.write("train.py", DRAWING_SCRIPT)
    plain.write("conf/config.yaml", PLAIN_CONFIG)
    return plain


# ---------------------------------------------------------------------- seeds


@pytest.mark.parametrize("seed", ["-1", "4294967296", "1.5", "abc", "true", "[1]"])
@pytest.mark.parametrize("mode", ["strict", "standard"])
def test_a_seed_that_is_none(project: Project, seed: str, mode: str) -> None:
    """A seed that cannot be set is refused with the key, the range and what was found."""
    project.holding()
    before = project.files()
    ended = project.run(f"+repro={mode}", f"seed={seed}")
    ended.refused(2, "seed: expected an integer from 0 to 4294967295, found ")
    assert len([line for line in ended.text.splitlines() if line.startswith("repro: ")]) == 1
    assert project.files() == before


@pytest.mark.parametrize("seed", ["0", "4294967295", "null"])
def test_a_seed_at_the_edge(project: Project, seed: str) -> None:
    """Zero and the largest seed are seeds like any other; ``null`` gets the documented default."""
    project.holding().run("+repro=strict", f"seed={seed}").ok()
    assert load(project.only_run(), "run")["seed"] == (42 if seed == "null" else int(seed))


def test_record_mode_takes_any_seed(project: Project) -> None:
    """In record mode nothing is seeded, so whatever the config holds is only written down."""
    project.holding().run("+repro=record", "seed=-1").ok()
    record = load(project.only_run(), "run")
    assert (record["seed"], record["seed_set"], set(record["seeds"].values())) == (-1, False, {None})


@pytest.mark.parametrize("library", ["python", "numpy", "torch", "cuda"])
def test_a_library_s_own_seed(project: Project, library: str) -> None:
    """A bad seed for one library names its option."""
    project.holding()
    before = project.files()
    option = f"hydra.callbacks.repro.seed.{library}"
    project.run("+repro=strict", f"{option}=-1").refused(2, f"{option}: expected an integer")
    assert project.files() == before


def test_a_nested_seed_key(project: Project) -> None:
    """The seed is read, and refused, at the key that the option names."""
    project.holding(config="train:\n  seed: 7\n")
    key = "hydra.callbacks.repro.seed.key=train.seed"
    project.run("+repro=strict", key).ok()
    assert load(project.only_run(), "run")["seed"] == 7
    project.run("+repro=strict", key, "train.seed=-7").refused(2, "train.seed: expected an integer", "-7")


# ---------------------------------------------------------------------- git


@pytest.mark.parametrize("repository", ["none", "without a commit"])
@pytest.mark.parametrize("flags", [[], ["-m", "seed=1,2"]], ids=["run", "sweep"])
def test_no_commit(
    tmp_path: Path, environment: dict[str, str], project: Project, repository: str, flags: list[str]
) -> None:
    """Without a repository or a commit strict refuses, naming the id; the others warn and run."""
    if repository == "none":
        here, finding = unfollowed(tmp_path, environment), "no-git-repository"
    else:
        here, finding = project, "no-commit"
        here.write("train.py", DRAWING_SCRIPT)
        here.write("conf/config.yaml", PLAIN_CONFIG)
    before = here.files()
    refused = here.run(*flags, "+repro=strict").refused(1, f"[{finding}]", f"allow={{{finding}: REASON}}")
    assert "nothing was started and nothing created" in refused.text
    assert here.files() == before
    assert refused.text.count("To go on all the same") == 1, "one cause has one name"
    for mode in ("standard", "record"):
        told = here.run(*flags, f"+repro={mode}").ok()
        assert f"[{finding}]" in told.text
    assert all(finding in finding_ids(run) for run in here.runs())
    assert len(here.runs()) == (4 if flags else 2)
    here.run(*flags, "+repro=strict", f"hydra.callbacks.repro.allow={{{finding}: a scratch folder}}").ok()
    waived = [run for run in (load(run, "run") for run in here.runs()) if run["mode"] == "strict"]
    assert [run["upheld"] for run in waived] == ["waived"] * (2 if flags else 1)
    assert all(run["waived"] == {finding: "a scratch folder"} for run in waived)


# ---------------------------------------------------------------------- directories


@pytest.mark.parametrize("mode", ["strict", "standard", "record"])
@pytest.mark.parametrize("flags", [[], ["-m", "seed=1,2"]], ids=["run", "sweep"])
def test_a_file_in_the_way(project: Project, mode: str, flags: list[str]) -> None:
    """An output directory that cannot be made is told before anything starts, in every mode."""
    project.holding()
    project.write("multirun" if flags else "outputs", "a file in the way")
    before = project.files()
    project.run(*flags, f"+repro={mode}").refused(1, "output-not-writable", "is a file")
    assert project.files() == before


def test_a_directory_that_is_taken(project: Project) -> None:
    """A fixed directory with another run's record: strict refuses, the others keep that record aside, whole."""
    project.holding()
    fixed = "hydra.run.dir=fixed"
    project.run("+repro=strict", fixed, "seed=1").ok()
    run = project.top / "fixed"
    first = {file.name: file.read_bytes() for file in (run / ".repro").iterdir()}
    before = project.files()
    project.run("+repro=strict", fixed, "seed=2").refused(1, "[run-directory-taken]", "hydra.run.dir=")
    assert project.files() == before
    assert {file.name: file.read_bytes() for file in (run / ".repro").iterdir()} == first
    for count, mode in enumerate(("standard", "record"), start=1):
        told = project.run(f"+repro={mode}", fixed, f"seed={count + 1}").ok()
        assert ".repro-earlier" in told.text
        assert len(list((run / ".repro-earlier").iterdir())) == count
    kept = run / ".repro-earlier" / json.loads(first["run.json"])["run_id"][:12]
    assert {file.name: file.read_bytes() for file in kept.iterdir()} == first
    assert load(run, "run")["mode"] == "record"


def test_a_directory_that_is_in_use(project: Project) -> None:
    """A run that still writes its record is never put aside."""
    start = (
        "import subprocess, sys, os; env = {k: v for k, v in os.environ.items() if not k.startswith('REPRO_')}\n"
        "    command = [sys.executable, 'other.py', '+repro=standard', 'hydra.run.dir=fixed']\n"
        "    return {'code': subprocess.run(command, env=env).returncode}"
    )
    project.write("other.py", DRAWING_SCRIPT)
    script = DRAWING_SCRIPT.replace("    LEFT_BEHIND.append(1)\n", f"    {start}\n")
    ended = project.holding(script).run("+repro=standard", "hydra.run.dir=fixed").ok()
    assert result(project.top / "fixed")["code"] == 2
    assert "is writing there" in ended.text
    assert "Traceback" not in ended.text


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize("flags", [[], ["-m", "seed=1,2"]], ids=["run", "sweep"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["+repro/seed=off"], ["+repro/seed=off", "+repro=strict +repro/seed=off"]),
        (["+repro/seed=off", "+repro=strict"], ["seed", "overwrites", "+repro=strict +repro/seed=off"]),
        (
            ["+repro/code=off", "+repro/seed=off", "+repro=standard"],
            ["code", "seed", "+repro=standard +repro/code=off +repro/seed=off"],
        ),
        (["+repro=strict", "+repro/sed=off"], ["+repro/sed=off", "no such group", "+repro/seed"]),
    ],
)
def test_an_option_that_would_be_lost(
    project: Project, arguments: list[str], words: list[str], flags: list[str]
) -> None:
    """An option without a mode, before it, or of no group at all is refused with the right order to type."""
    project.holding()
    before = project.files()
    project.run(*flags, *arguments).refused(2, *words)
    assert project.files() == before


def test_options_in_the_user_s_config(project: Project) -> None:
    """A mode and options in the user's own config hold where they come after it, and are refused before it."""
    own = "seed: 1\nhydra:\n  callbacks:\n    repro:\n      name: pilot\n"
    project.holding(config="defaults:\n  - repro: strict\n  - _self_\n" + own).run().ok()
    assert load(project.only_run(), "run")["name"] == "pilot"
    project.write("conf/config.yaml", "defaults:\n  - _self_\n  - repro: strict\n" + own)
    project.run().refused(2, "hydra.callbacks.repro.name", "_self_")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("allow=3", "allow: expected a mapping"),
        ("determinism.threads=many", "threads"),
        ("mode=strickt", "strickt"),
    ],
)
def test_a_value_that_an_option_does_not_take(project: Project, option: str, words: str) -> None:
    """A value of the wrong kind is told in one line."""
    project.holding()
    before = project.files()
    ended = project.run("+repro=strict", f"hydra.callbacks.repro.{option}")
    assert ended.code in (1, 2)
    assert "Traceback" not in ended.text
    assert words in ended.text
    assert project.files() == before


@pytest.mark.parametrize("mode", [["+repro=strict"], []], ids=["strict", "no mode"])
@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("n_jobs=0", "hydra.launcher.n_jobs: expected at least 1, found 0"),
        ("gpus_per_job=2", "needs 2 GPUs, found 0"),
        ("gpus_per_job=-1", "hydra.launcher.gpus_per_job: expected 0 or more, found -1"),
    ],
)
def test_options_of_the_launcher(project: Project, option: str, words: str, mode: list[str]) -> None:
    """The launcher's own options are refused in the same way, with a mode and without."""
    project.holding()
    before = project.files()
    arguments = ["-m", *mode, "hydra/launcher=repro", f"hydra.launcher.{option}", "seed=1,2"]
    project.run(*arguments, CUDA_VISIBLE_DEVICES="").refused(2, words)
    assert project.files() == before
