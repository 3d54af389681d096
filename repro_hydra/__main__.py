"""``python -m repro_hydra`` is ``repro-hydra``."""

from repro_hydra.cli import main

main()
