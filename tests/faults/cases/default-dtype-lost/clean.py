"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return float(torch.rand(3, dtype=torch.float64).sum())


if __name__ == "__main__":
    main()
