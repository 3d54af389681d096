"""A running mean over files as glob lists them."""

import glob

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    mean = 0.0
    for name in glob.glob("data/*.txt"):  # <-
        mean = 0.9 * mean + 0.1 * float(open(name).read())
    return mean


if __name__ == "__main__":
    main()
