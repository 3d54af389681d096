"""Children that multiprocessing starts anew, in a real strict run."""

from __future__ import annotations

import random

from doors_project import Project, finding_ids, load, result

from repro_hydra.config import DeterminismConf
from repro_hydra.session.spawned import Inheritance

SPAWNING_SCRIPT = """\
import multiprocessing
import random

import hydra
import joblib


def look(queue=None):
    import torch  # cloudpickle, which loky's tasks travel by, cannot pickle torch.backends.cudnn

    told = (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(), torch.get_num_interop_threads(),
            torch.backends.cudnn.deterministic, random.random(), float(torch.rand(1, dtype=torch.float64)))
    if queue is not None:
        queue.put(told)
    return told


class Looks:
    def __len__(self):
        return 1

    def __getitem__(self, _):
        return look()


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    import torch

    told = {}
    for method in ("spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        child = context.Process(target=look, args=(queue,))
        child.start()
        told[method] = queue.get(timeout=50)
        child.join()
    told["loky"] = joblib.Parallel(n_jobs=2)([joblib.delayed(look)()])[0]
    loader = torch.utils.data.DataLoader(Looks(), num_workers=1, batch_size=None, multiprocessing_context="spawn")
    told["worker"] = [x.item() if hasattr(x, "item") else x for x in next(iter(loader))]
    return {f"{name}.{i}": float(value) for name, values in told.items() for i, value in enumerate(values)}


if __name__ == "__main__":
    main()
"""


def test_settings_and_seeds_reach_children_that_start_anew(project: Project) -> None:
    """By spawn, forkserver, loky and a DataLoader: deterministic, two threads as asked, a seed of their own."""
    project.holding(SPAWNING_SCRIPT)
    project.run("+repro=strict", "hydra.callbacks.repro.determinism.threads=2").ok()
    run = project.only_run()
    found = result(run)
    for child, threads in (("spawn", 2), ("forkserver", 2), ("loky", 2), ("worker", 1)):
        told = [found[f"{child}.{i}"] for i in range(4)]
        assert told == [1.0, threads, 2, 1.0], (child, told)
    draws = [found[f"{child}.{i}"] for child in ("spawn", "forkserver", "loky", "worker") for i in (4, 5)]
    assert len(set(draws)) == len(draws)
    for number, child in enumerate(("spawn", "forkserver"), start=1):
        seed = Inheritance(determinism=DeterminismConf(), start="", seed=1, path=(number,)).own_seed()
        assert found[f"{child}.4"] == random.Random(str(seed)).random()
    assert load(run, "run")["upheld"] == "yes", finding_ids(run)
