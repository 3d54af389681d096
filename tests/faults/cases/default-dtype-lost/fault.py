"""The default dtype is set at the script's top, and lost in a worker."""

import hydra
import torch

torch.set_default_dtype(torch.float64)


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return float(torch.rand(3).sum())


if __name__ == "__main__":
    main()
