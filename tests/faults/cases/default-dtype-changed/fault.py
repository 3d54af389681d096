"""A library changes the default dtype in the middle of the task."""

import hydra
import torch
from smoothing import smooth


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    noise = torch.rand(3)
    return float(smooth(noise).sum()) + float(torch.rand(3).sum())


if __name__ == "__main__":
    main()
