"""Statistics cached by the first run are read by the next."""

from pathlib import Path

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    cache = Path("cache.txt")
    found = cache.exists()
    cache.write_text("1")
    return int(found)


if __name__ == "__main__":
    main()
