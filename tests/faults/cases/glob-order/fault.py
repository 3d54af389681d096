"""A float sum over glob's order."""

import glob

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return sum(float(open(name).read()) for name in glob.glob("data/*.txt"))  # <-


if __name__ == "__main__":
    main()
