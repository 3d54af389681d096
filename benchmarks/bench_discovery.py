"""What the plugin costs a Hydra program that does not use it: start-up with and without it, in turn.

python benchmarks/bench_discovery.py [--pairs 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from users_environment import users_environment

# The plugin is hidden by taking its folder out of the namespace package's path.
TIMED = """
import sys, time
hide = sys.argv[1] == "hide"
import hydra, hydra_plugins
from hydra.core.plugins import Plugins
if hide:
    import pkgutil
    original = pkgutil.walk_packages
    def walk(path=None, prefix="", onerror=None):
        for found in original(path, prefix, onerror):
            if "repro_hydra_plugin" not in found.name:
                yield found
    pkgutil.walk_packages = walk
began = time.perf_counter()
Plugins.instance()
print(time.perf_counter() - began)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=15)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        script = Path(name, "timed.py")
        script.write_text(TIMED)

        def once(how: str) -> float:
            command = [sys.executable, str(script), how]
            return float(
                subprocess.run(
                    command, check=True, capture_output=True, text=True, env=users_environment()
                ).stdout
            )

        once("hide"), once("show")
        added = sorted((once("show") - once("hide")) * 1000 for _ in range(options.pairs))
    print(
        f"discovery adds {statistics.median(added):.1f} ms [{added[0]:.1f} … {added[-1]:.1f}]   bound < 20 ms, "
        f"{options.pairs} pairs"
    )


if __name__ == "__main__":
    main()
