"""PYTHONHASHSEED set in the running process."""

import os

import hydra

os.environ["PYTHONHASHSEED"] = "0"


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return hash("a") % 1000003


if __name__ == "__main__":
    main()
