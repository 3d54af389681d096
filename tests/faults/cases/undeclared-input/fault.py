"""The script reads a file that nobody declared."""

from pathlib import Path

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return float(Path("data/a.txt").read_text())


if __name__ == "__main__":
    main()
