"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    g = torch.Generator().manual_seed(cfg.seed)
    return float(torch.rand(1, generator=g))


if __name__ == "__main__":
    main()
