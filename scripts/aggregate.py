"""Aggregate runs over their seeds: the same as ``repro-hydra aggregate``.

python scripts/aggregate.py multirun/2026-11-23/10-00-00
"""

import sys

from repro_hydra.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "aggregate")
    main()
