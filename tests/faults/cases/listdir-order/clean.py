"""The same, done well."""

import os

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return {"order": " ".join(sorted(os.listdir("data")))}


if __name__ == "__main__":
    main()
