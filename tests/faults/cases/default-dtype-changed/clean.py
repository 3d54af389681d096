"""The same, done well."""

import hydra
import torch
from smoothing import smooth


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    noise = torch.rand(3, dtype=torch.float32)
    return float(smooth(noise).sum()) + float(torch.rand(3, dtype=torch.float32).sum())


if __name__ == "__main__":
    main()
