"""The same, done well."""

import os

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    found = [name for _, _, names in os.walk("data") for name in names]
    return {"order": " ".join(sorted(found))}


if __name__ == "__main__":
    main()
