"""A temporary file's name decides the order of examples."""

import tempfile

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    name = tempfile.mktemp(prefix="")  # <-
    return sum(map(ord, name[-8:]))


if __name__ == "__main__":
    main()
