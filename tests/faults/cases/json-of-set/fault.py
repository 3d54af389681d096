"""A file written in the order of a set."""

import json
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    out = Path(HydraConfig.get().runtime.output_dir, "tokens.json")
    out.write_text(json.dumps(list({"x", "y", "z", "w", "v"})))


if __name__ == "__main__":
    main()
