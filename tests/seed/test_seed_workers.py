"""What torch gives the workers of a DataLoader, as docs/design/seeds.md says it: in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

WORKERS = """
import json, random
import numpy as np, torch
from repro_hydra.seed import seed_everything

class States(torch.utils.data.Dataset):
    def __len__(self):
        return 2
    def __getitem__(self, _):
        info = torch.utils.data.get_worker_info()
        return (info.seed, torch.initial_seed(), random.getrandbits(64),
                int(np.random.get_state()[1][1]), int(np.random.randint(2**62)))

def epoch(seed):
    seed_everything(seed)
    loader = torch.utils.data.DataLoader(States(), num_workers=2, batch_size=None)
    return [[tuple(int(x) for x in item) for item in loader] for _ in range(2)]

runs = [epoch(seed) for seed in (0, 1, 0)]
print(json.dumps(runs))
"""


def test_no_two_workers_epochs_or_seeds_share_a_stream() -> None:
    """Each library is seeded in each worker, from the run's seed alone; and torch's seed is base + worker."""
    done = subprocess.run([sys.executable, "-c", WORKERS], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    first, second, again = json.loads(done.stdout.splitlines()[-1])
    assert first == again
    items = [item for run in (first, second) for epoch in run for item in epoch]
    assert len(items) == 8
    for column in zip(*items, strict=True):
        assert len(set(column)) == 8
    assert all(info == torch_seed for info, torch_seed, *_ in items)
    for run in (first, second):
        for epoch in run:
            assert epoch[1][0] - epoch[0][0] == 1
