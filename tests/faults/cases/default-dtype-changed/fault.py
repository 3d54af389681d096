"""A library changes the default dtype."""

import helper
import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    helper.prepare()
    return float(torch.rand(3).sum())


if __name__ == "__main__":
    main()
