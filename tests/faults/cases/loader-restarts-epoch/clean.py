"""The same, done well."""

import json
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    state = Path(HydraConfig.get().runtime.output_dir, "loader.json")
    seen = json.loads(state.read_text()) if state.exists() else []
    batch = list(range(8))[len(seen) : len(seen) + 4]
    state.write_text(json.dumps(seen + batch))
    return sum(seen + batch)


if __name__ == "__main__":
    main()
