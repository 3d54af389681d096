"""`repro-hydra check`, with real programs: what is reproducible is said to be, what is not is named with its line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from laboratory import Laboratory

from repro_hydra.check.checking import Asked
from repro_hydra.check.checking import check as run_check
from repro_hydra.check.conditions import HELD
from repro_hydra.check.places import kind_of
from repro_hydra.check.process import Workplace, run_once

HEAD = (
    "import hydra\n@hydra.main(version_base=None, config_path='conf', config_name='config')\ndef main(cfg):\n"
)
CLEAN = HEAD + "    return {'a': cfg.lr * cfg.seed}\nmain()\n"


def check(lab: Laboratory, *command: str, options: tuple[str, ...] = (), code: int) -> dict[str, Any]:
    """The document of ``repro-hydra check``; nothing is left in the project nor in the scratch folder."""
    before = lab.everything()
    ended = lab.repro("check", "--json", *options, "--", sys.executable, *command)
    assert ended.code == code, ended.text
    assert list(Path(lab.environment["TMPDIR"]).glob("repro-hydra-check-*")) == []
    for notes in Path(lab.environment["XDG_STATE_HOME"]).rglob("*.txt"):
        assert "repro-hydra-check" not in notes.read_text()
    if "state.txt" not in " ".join(before):
        assert {k: v for k, v in lab.everything().items() if not k.startswith((".git/", "state"))} == {
            k: v for k, v in before.items() if not k.startswith(".git/")
        }
    document: dict[str, Any] = json.loads(ended.out)
    return document


def causes(document: dict[str, Any]) -> set[tuple[str, str | None, int | None]]:
    return {(cause["area"], cause["file"], cause["line"]) for cause in document["causes"]}


def test_a_clean_program_is_reproducible(lab: Laboratory) -> None:
    """Strict, a program without ``+repro``, and a sweep."""
    lab.holding(CLEAN)
    document = check(lab, "train.py", "+repro=strict", code=0)
    assert document["reproducible"] is True
    assert document["runs"] == 3
    assert [(pair["a"], pair["b"], pair["equal"]) for pair in document["pairs"]] == [
        (1, 2, True),
        (1, 3, True),
        (2, 3, True),
    ]
    assert (document["first_divergence"], document["causes"], document["extra_runs"]) == (None, [], 0)
    assert document["spread"] == [{"metric": "a", "n": 3, "distinct": 1, "min": 0.1, "max": 0.1, "std": 0.0}]
    sweep = check(lab, "train.py", "-m", "seed=1,2", options=("--runs", "2"), code=0)
    assert [item["metric"] for item in sweep["spread"]] == ["0: a", "1: a"]
    assert sweep["not_compared"] == []
    # What it writes where Hydra does not know of it differs, is not compared, and is not passed over either.
    lab.holding(
        "import os\n"
        + CLEAN.replace("    return", "    open('state.bin', 'wb').write(os.urandom(4))\n    return")
    )
    ended = lab.repro("check", "--runs", "2", "--", sys.executable, "train.py").ok()
    assert "not compared: written in the project, outside of the run's directory: state.bin" in ended.out


def test_each_cause_is_named_with_its_line(lab: Laboratory) -> None:
    """Two at once, in a program that did not ask for a record; the first divergence is a logged step."""
    lab.holding(
        "import random, repro_hydra\n" + HEAD + "    order = {'x', 'y', 'z', 'w', 'v', 'u'}\n"
        "    for step in range(3):\n"
        "        repro_hydra.log_metrics({'loss': random.Random().random() if step else 0.0}, step=step)\n"
        "    return {'order': ''.join(order)}\nmain()\n"
    )
    document = check(lab, "train.py", code=1)
    assert document["reproducible"] is False
    assert causes(document) == {("determinism", "train.py", 8), ("seed", "train.py", 7)}
    first = document["first_divergence"]
    assert (first["where"], first["name"], first["step"]) == ("metrics", "loss", 1)
    assert document["extra_runs"] <= 12


def test_memory_that_holds_addresses_is_named_beside_them(lab: Laboratory) -> None:
    """What was freed last lies in it, and numpy keeps small pieces for itself, where nobody fills them."""
    lab.holding(
        "import numpy as np\n" + HEAD + "    old = np.empty(9, dtype=object)\n    old[:] = [object()] * 9\n"
        "    address = object.__repr__(old[0])\n    x = np.empty(72, dtype=np.uint8)\n"
        "    return {'sum': int(address.split()[-1][:-1], 16), 'size': x.size}\nmain()\n"
    )
    document = check(lab, "train.py", options=("--runs", "2"), code=1)
    found = [(cause["area"], cause["line"], cause["detail"][:20]) for cause in document["causes"]]
    assert ("determinism", 5, "what is left in fres") in found
    assert ("determinism", None, "the addresses of obj") in found


def test_what_a_run_leaves_in_the_project_is_named(lab: Laboratory) -> None:
    """The second run finds what the first has written."""
    lab.holding(
        "from pathlib import Path\n" + HEAD + "    cache = Path('state.txt')\n    found = cache.exists()\n"
        "    cache.write_text('x')\n    return {'found': int(found)}\nmain()\n"
    )
    document = check(lab, "train.py", options=("--extra-runs", "2"), code=1)
    assert ("files", "state.txt", None) in causes(document)


def test_a_program_without_hydra_is_judged_by_its_files_and_its_output(lab: Laboratory) -> None:
    """Each run gets a copy of the folder, so that one does not find what another wrote."""
    lab.write("data/b.txt", "2")
    lab.write("data/a.txt", "1")
    lab.write(
        "plain.py",
        "import os\nfrom pathlib import Path\nout = Path('out.txt')\n"
        "out.write_text((out.read_text() if out.exists() else '') + 'once')\n"
        "names = os.listdir('data')\nprint(sorted(names) if SORTED else names)\n".replace("SORTED", "1"),
    )
    assert check(lab, "plain.py", options=("--runs", "2"), code=0)["pairs"][0]["compared"]["files"] == 2
    lab.write("plain.py", (lab.top / "plain.py").read_text().replace("if 1", "if 0"))
    document = check(lab, "plain.py", code=1)
    assert causes(document) == {("data", "plain.py", 5)}
    assert document["first_divergence"]["where"] == "output"


def test_a_command_that_fails_is_no_success(lab: Laboratory) -> None:
    """Whether it fails by itself, or strict refuses it."""
    lab.holding(HEAD + "    raise ValueError('too small')\nmain()\n")
    document = check(lab, "train.py", code=1)
    assert document["reproducible"] is False
    assert "too small" in document["causes"][0]["detail"]
    lab.holding(CLEAN)
    document = check(lab, "train.py", "+repro=strict", "+repro/code=off", code=1)
    assert "code-not-recorded" in document["causes"][0]["detail"]


def test_misuse_is_told_plainly(lab: Laboratory) -> None:
    """No such program; one run alone; nothing to compare."""
    assert lab.repro("check", "--", "no-such-program").refused(2, "no-such-program", "PATH")
    assert lab.repro("check", "--runs", "1", "--", sys.executable).code == 2
    lab.write("quiet.py", "pass\n")
    document = check(lab, "quiet.py", options=("--runs", "2"), code=1)
    assert "nothing to compare" in document["causes"][0]["detail"]


def test_an_interpreter_that_ignores_the_environment_is_said(lab: Laboratory) -> None:
    """``python -I`` takes no part: what could not be varied is named."""
    lab.write("plain.py", "print(1)\n")
    document = check(lab, "-I", "plain.py", options=("--runs", "2"), code=0)
    assert "python -I" in document["not_varied"]["everything inside the interpreter"]


def test_an_environments_own_sitecustomize_still_runs(lab: Laboratory) -> None:
    """Ours lies in front of it, and does not hide it; a module of the project is found as ever."""
    lab.write("site/sitecustomize.py", "import builtins\nbuiltins.SAID = 'mine'\n")
    lab.write("part.py", "print(SAID)\n")
    lab.environment["PYTHONPATH"] = str(lab.top / "site")
    answer = run_check(
        Asked(command=[sys.executable, "-m", "part"], runs=2, cwd=lab.top, environ=lab.environment, keep=True)
    )
    assert answer.reproducible, answer
    assert answer.kept is not None
    assert (Path(answer.kept) / "run-1" / "stdout.txt").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("python app.py", "hydra"),
        ("python -m app", "hydra"),
        ("python plain.py", "plain"),
        ("python -m plain", "plain"),
        ("trainer +repro=strict", "hydra"),
        ("trainer hydra.run.dir=x", "hydra"),
        ("trainer --repro=strict", "plain"),
        ("python missing.py", "plain"),
    ],
)
def test_whether_a_command_is_a_hydra_program_is_told_without_running_it(
    tmp_path: Path, command: str, kind: str
) -> None:
    """By its overrides, or by what its script imports."""
    (tmp_path / "app.py").write_text("from hydra import main\n")
    (tmp_path / "plain.py").write_text("import json\n")
    assert kind_of(command.split(), tmp_path) == kind


@pytest.mark.parametrize("held", [False, True])
def test_the_conditions_inside_leave_the_standard_library_whole(lab: Laboratory, held: bool) -> None:
    """Dates pickle, compare and subclass; directories list; pools answer; deadlines end; locks time out."""
    script = """
import concurrent.futures, copy, datetime, glob, multiprocessing, os, pathlib, pickle, random, shutil, tempfile
import threading, time

now = datetime.datetime.now()
assert isinstance(now, datetime.datetime) and isinstance(now, datetime.date)
assert isinstance(datetime.date.today(), datetime.date) and not isinstance(datetime.date.today(), datetime.datetime)
assert pickle.loads(pickle.dumps([now, now.date()])) == [now, now.date()] and copy.deepcopy(now) == now
assert datetime.datetime(2020, 1, 2) - datetime.datetime(2020, 1, 1) == datetime.timedelta(1)
assert datetime.datetime.strptime("2020", "%Y").year == datetime.datetime.fromisoformat("2020-01-01").year == 2020
assert abs((datetime.datetime.now(datetime.timezone.utc) - now.astimezone(datetime.timezone.utc)).total_seconds()) < 9

class Mine(datetime.datetime):
    pass

assert type(Mine(2020, 1, 1)) is Mine and isinstance(Mine(2020, 1, 1), datetime.datetime)
with tempfile.TemporaryDirectory() as folder:
    for name in "abc":
        pathlib.Path(folder, name).touch()
    with os.scandir(folder) as entries:
        assert sorted(entry.name for entry in entries) == ["a", "b", "c"]
    assert len(glob.glob(folder + "/*")) == len(list(pathlib.Path(folder).iterdir())) == len(os.listdir(folder)) == 3
    assert [names for _, _, names in os.walk(folder)][0].__len__() == 3
    shutil.copytree(folder, folder + "/copy")
end, turns = time.time() + 0.2, 0
while time.time() < end:
    time.sleep(0.05)
    turns += 1
assert 1 <= turns <= 5, turns
assert not threading.Event().wait(0.01)
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    jobs = [pool.submit(abs, -i) for i in range(9)]
    assert sorted(job.result() for job in concurrent.futures.as_completed(jobs)) == [*range(9)]
with multiprocessing.Pool(2) as pool:
    assert sorted(pool.imap_unordered(abs, range(9))) == [*range(9)]
assert random.Random(3).random() == 0.23796462709189137
random.seed(3)
assert random.random() == 0.23796462709189137
assert len(os.urandom(5)) == 5
print(time.strftime("%Y", time.gmtime(0)), time.monotonic_ns() > 0)
"""
    lab.write("plain.py", script)
    scratch = lab.top.parent / "here"
    scratch.mkdir()
    told: list[str] = []
    workplace = Workplace(
        command=[sys.executable, "plain.py"],
        kind="plain",
        cwd=lab.top,
        scratch=scratch,
        environ=lab.environment,
        echo=told.append,
    )
    if held:
        assert run_once(workplace, "held", HELD).status == 0, told
    else:
        answer = run_check(
            Asked(command=workplace.command, runs=2, cwd=lab.top, environ=lab.environment, echo=told.append)
        )
        assert answer.reproducible, (told, answer)
