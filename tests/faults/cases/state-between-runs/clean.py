"""The same, done well."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    cache = Path(HydraConfig.get().runtime.output_dir, "cache.txt")
    found = cache.exists()
    cache.write_text("1")
    return int(found)


if __name__ == "__main__":
    main()
