"""Seeds: which one a run gets, and that it really reached each library."""

from repro_hydra.seed.apply import SeedsSet as SeedsSet
from repro_hydra.seed.apply import read_back as read_back
from repro_hydra.seed.apply import seed_everything as seed_everything
from repro_hydra.seed.apply import seed_libraries as seed_libraries
from repro_hydra.seed.apply import set_numpy as set_numpy
from repro_hydra.seed.apply import set_python as set_python
from repro_hydra.seed.apply import set_tensorflow as set_tensorflow
from repro_hydra.seed.apply import set_torch as set_torch
from repro_hydra.seed.choose import MAX_SEED as MAX_SEED
from repro_hydra.seed.choose import ChosenSeeds as ChosenSeeds
from repro_hydra.seed.choose import SeedError as SeedError
from repro_hydra.seed.choose import check_seed as check_seed
from repro_hydra.seed.choose import choose_seeds as choose_seeds
from repro_hydra.seed.choose import rank_seed as rank_seed
