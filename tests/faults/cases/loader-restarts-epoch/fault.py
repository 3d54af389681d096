"""After resuming, the loader begins its epoch again."""

import json
from pathlib import Path

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    state = Path("loader.json")
    seen = json.loads(state.read_text()) if state.exists() else []
    batch = list(range(8))[:4]
    state.write_text(json.dumps(seen + batch))
    return sum(seen + batch)


if __name__ == "__main__":
    main()
