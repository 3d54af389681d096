"""The script reads an environment variable that nobody records."""

import os

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return float(os.environ.get("FAULT_SCALE", "1")) * cfg.lr  # <-


if __name__ == "__main__":
    main()
