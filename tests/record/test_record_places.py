from __future__ import annotations

import doctest
import multiprocessing
from pathlib import Path

import pytest

import repro_hydra.record.places
from repro_hydra.record.places import known_places, place_of, project_of, remember_place


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def notes(state: Path) -> list[str]:
    (file,) = (state / "places").glob("*.txt")
    return file.read_text().splitlines()


def test_examples_in_the_docstrings_run() -> None:
    assert doctest.testmod(repro_hydra.record.places).failed == 0


@pytest.mark.parametrize(
    ("directory", "stamped", "place"),
    [
        ("project/outputs/day/time", True, "project/outputs/day"),
        ("project/fixed", False, "project"),
        ("project", False, "project"),  # hydra.run.dir=.
        ("scratch/day/time", True, "scratch/day"),
        ("scratch/fixed", False, "scratch/fixed"),  # beside the runs of others
        ("time", True, "time"),  # beside the project itself
        (".", False, "."),
    ],
)
def test_no_place_holds_the_records_of_other_projects(
    project: Path, tmp_path: Path, directory: str, stamped: bool, place: str
) -> None:
    """`list` would show them, and `prune --records` drop them."""
    assert place_of(tmp_path / directory, project, stamped=stamped) == tmp_path / place


def test_a_place_is_known_once_it_was_noted(project: Path, state: Path, tmp_path: Path) -> None:
    place = tmp_path / "scratch"
    place.mkdir()
    assert known_places(project, state_dir=state) == []
    for _ in range(3):
        remember_place(project, place, state_dir=state)
    assert known_places(project, state_dir=state) == [place]
    assert notes(state).count(str(place)) == 1


def test_hydras_own_places_are_always_known(project: Path, state: Path, tmp_path: Path) -> None:
    inner = project / "inner"
    for folder in (project / "outputs", project / "multirun", inner / "outputs"):
        folder.mkdir(parents=True)
    assert known_places(project, cwd=inner, state_dir=state) == [
        inner / "outputs",
        project / "outputs",
        project / "multirun",
    ]


def test_a_deleted_place_is_no_longer_told(project: Path, state: Path, tmp_path: Path) -> None:
    place = tmp_path / "scratch"
    place.mkdir()
    remember_place(project, place, state_dir=state)
    place.rmdir()
    assert known_places(project, state_dir=state) == []


def test_projects_do_not_share_their_places(project: Path, state: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    remember_place(project, tmp_path, state_dir=state)
    assert known_places(other, state_dir=state) == []


def test_a_project_reached_through_a_link_is_the_same(project: Path, state: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(project)
    remember_place(project, tmp_path, state_dir=state)
    assert known_places(tmp_path / "link", state_dir=state) == [tmp_path]


@pytest.mark.parametrize("name", ["plain", "with space", "é", "a\u2028b", "a\rb", "#hash"])
def test_any_name_of_one_line_survives(project: Path, state: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()
    remember_place(project, place, state_dir=state)
    assert known_places(project, state_dir=state) == [place]


def test_a_name_of_two_lines_is_left_alone(project: Path, state: Path, tmp_path: Path) -> None:
    remember_place(project, tmp_path / "a\nb", state_dir=state)
    assert not state.exists()


def test_a_failure_is_nobodys_problem(project: Path, tmp_path: Path) -> None:
    blocked = tmp_path / "a-file"
    blocked.write_text("")
    remember_place(project, tmp_path, state_dir=blocked)
    assert known_places(project, state_dir=blocked) == []


def test_garbage_in_the_notes_is_passed_over(project: Path, state: Path, tmp_path: Path) -> None:
    remember_place(project, tmp_path, state_dir=state)
    (file,) = (state / "places").glob("*.txt")
    file.write_bytes(file.read_bytes() + b"\xff\xfe\x00\n/no/such/place\nhalf a li")
    assert known_places(project, state_dir=state) == [tmp_path]
    (tmp_path / "more").mkdir()
    remember_place(project, tmp_path / "more", state_dir=state)
    assert known_places(project, state_dir=state) == [tmp_path, tmp_path / "more"]


def test_a_known_place_costs_one_read_and_no_lock(
    project: Path, state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember_place(project, tmp_path, state_dir=state)

    def bark(*_args: object, **_options: object) -> None:
        raise AssertionError("locked for a place that is known")

    monkeypatch.setattr("filelock.FileLock", bark)
    remember_place(project, tmp_path, state_dir=state)
    with pytest.raises(AssertionError, match="locked"):
        remember_place(project, tmp_path / "new", state_dir=state)


def _remember_many(project: Path, state: Path, places: list[Path]) -> None:
    for place in places:
        remember_place(project, place, state_dir=state)


def test_writers_at_the_same_time_lose_nothing_and_repeat_nothing(
    project: Path, state: Path, tmp_path: Path
) -> None:
    places = [tmp_path / f"p{number}" for number in range(20)]
    for place in places:
        place.mkdir()
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_remember_many, args=(project, state, places)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    lines = [line for line in notes(state) if not line.startswith("#")]
    assert sorted(lines) == sorted(str(place) for place in places)


def test_the_state_folder_is_the_users_unless_told(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    remember_place(project, tmp_path)
    assert known_places(project) == [tmp_path]
    assert (tmp_path / "xdg" / "repro-hydra" / "places").is_dir()


def test_the_project_is_the_git_top_or_the_folder_itself(tmp_path: Path) -> None:
    inner = tmp_path / "repository" / "src" / "deep"
    inner.mkdir(parents=True)
    assert project_of(inner) == inner
    (tmp_path / "repository" / ".git").write_text("gitdir: elsewhere")  # a worktree's
    assert project_of(inner) == tmp_path / "repository"
