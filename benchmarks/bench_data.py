"""How fast a dataset is hashed, and looked at again: side by side with what else does such a thing.

    python benchmarks/bench_data.py                 # 50,000 small files and one of 256 MiB
    python benchmarks/bench_data.py --large-mib 2048
    python benchmarks/bench_data.py --others        # beside sha256sum, DVC and a loop of 4 KiB reads too
    python benchmarks/bench_data.py --others --dvc /some/env/bin/dvc

DVC is run as `dvc add --no-commit` (it hashes and copies nothing) with an empty state, and as `dvc status` for the
second look; its start, some 0.5 s, is part of it as it is for its users. Where there is no `dvc`, the document
says so.
Prints one JSON document; the ratios are medians over rounds in which each program runs once, in turn, so that a
busy machine slows all of them alike. Files are read once before: what is compared is work, not disks.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from repro_hydra.data import StatCache, scan

AGE_NS = 10**10  # a clock by which what was just written is old, as a real dataset is
Step = Callable[[], object]


def old_clock() -> int:
    return time.time_ns() + AGE_NS


def make_small_files(folder: Path, count: int) -> None:
    generator = random.Random(0)
    for number in range(count):
        place = folder / f"class_{number // 500:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"img_{number:05}.bin").write_bytes(generator.randbytes(generator.randrange(500, 8000)))


def make_large_file(file: Path, size_mib: int) -> None:
    with file.open("wb") as stream:
        for _ in range(size_mib):
            stream.write(os.urandom(1 << 20))


def common_loop(path: Path) -> str:
    """What many scripts do: 4 KiB reads into SHA-256, over `rglob`."""
    hasher = hashlib.sha256()
    for file in [path] if path.is_file() else path.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                for chunk in iter(lambda: stream.read(4096), b""):
                    hasher.update(chunk)
    return hasher.hexdigest()


def shell(command: str) -> Step:
    return lambda: subprocess.run(command, shell=True, check=True, stdout=subprocess.DEVNULL)


def side_by_side(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def summary(seconds: dict[str, list[float]], reference: str, ours: str) -> dict[str, object]:
    ratios = [theirs / own for theirs, own in zip(seconds[reference], seconds[ours], strict=True)]
    return {
        "median_s": {name: round(statistics.median(times), 4) for name, times in seconds.items()},
        "best_s": {name: round(min(times), 4) for name, times in seconds.items()},
        f"speed_relative_to_{reference}": round(statistics.median(ratios), 3),
        f"best_relative_to_{reference}": round(min(seconds[reference]) / min(seconds[ours]), 3),
    }


class Dvc:
    """A DVC repository of its own, with the data linked in file by file."""

    def __init__(self, program: str, folder: Path, small: Path, large: Path) -> None:
        self.program = program
        self.folder = folder
        self.site = folder / "site"
        folder.mkdir()
        self._run("init", "--no-scm", "--quiet")
        self._run("config", "core.analytics", "false")
        self._run("config", "core.site_cache_dir", str(self.site))
        shutil.copytree(small, folder / small.name, copy_function=os.link)
        os.link(large, folder / large.name)

    def _run(self, *arguments: str, fine: tuple[int, ...] = (0,)) -> None:
        environ = {**os.environ, "DVC_NO_ANALYTICS": "1"}
        done = subprocess.run(
            [self.program, *arguments], cwd=self.folder, env=environ, stdout=subprocess.DEVNULL
        )
        assert done.returncode in fine, done

    def add(self, name: str) -> None:
        """Hash it as if for the first time."""
        shutil.rmtree(self.site, ignore_errors=True)
        shutil.rmtree(self.folder / ".dvc/tmp", ignore_errors=True)
        Path(self.folder, f"{name}.dvc").unlink(missing_ok=True)
        self._run("add", "--no-commit", "--quiet", name)

    def status(self, name: str) -> None:
        self._run("status", "--quiet", f"{name}.dvc", fine=(0, 1))  # 1: "not in cache", after --no-commit


def bench(
    folder: Path, files: int, large_mib: int, rounds: int, others: bool, dvc_program: str | None
) -> dict[str, object]:
    small, large, cache_folder = folder / "small", folder / "large.bin", folder / "cache"
    make_small_files(small, files)
    make_large_file(large, large_mib)
    b3sum = shutil.which("b3sum")

    def first_look() -> None:
        shutil.rmtree(cache_folder, ignore_errors=True)
        scan(small, cache=StatCache(cache_folder), clock=old_clock)

    def second_look() -> None:
        assert scan(small, cache=StatCache(cache_folder), clock=old_clock).files_read == 0

    listed = f"find {small} -type f -print0 | xargs -0 -n {files}"
    first: dict[str, Step] = {"ours": first_look}
    one: dict[str, Step] = {"ours": lambda: scan(large)}
    if b3sum:
        first["b3sum"] = shell(f"{listed} b3sum")
        one["b3sum"] = shell(f"b3sum {large}")
    if others:
        first |= {"sha256sum": shell(f"{listed} sha256sum"), "common_loop": lambda: common_loop(small)}
        one |= {"sha256sum": shell(f"sha256sum {large}"), "common_loop": lambda: common_loop(large)}
    dvc = Dvc(dvc_program, folder / "dvc", small, large) if others and dvc_program else None
    if dvc is not None:
        first["dvc"] = lambda: dvc.add(small.name)
        one["dvc"] = lambda: dvc.add(large.name)
    common_loop(small)
    common_loop(large)  # both are in memory now
    reference = "b3sum" if b3sum else "ours"
    found: dict[str, object] = {
        "files": files,
        "large_mib": large_mib,
        "cores": os.cpu_count(),
        "python": sys.version.split()[0],
        "not_there": [name for name, place in (("b3sum", b3sum), ("dvc", dvc_program)) if not place],
        "first_look_small": summary(side_by_side(first, rounds), reference, "ours"),
        "first_look_large": summary(side_by_side(one, rounds), reference, "ours"),
    }
    first_look()
    again = {"ours": second_look, "find": shell(f"find {small} -printf '%p %s %T@ %C@ %i\\n'")}
    if dvc is not None:
        dvc.add(small.name)
        again["dvc"] = lambda: dvc.status(small.name)
    seconds = side_by_side(again, rounds)
    found["second_look"] = summary(seconds, "find", "ours") | {
        "times_find": round(
            statistics.median(a / b for a, b in zip(seconds["ours"], seconds["find"], strict=True)), 3
        )
    }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--large-mib", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--others", action="store_true", help="sha256sum, DVC and a loop of 4 KiB reads too")
    parser.add_argument("--dvc", default="dvc", help="the program, where it is in an environment of its own")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = bench(
            Path(folder),
            options.files,
            options.large_mib,
            options.rounds,
            options.others,
            shutil.which(options.dvc),
        )
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
