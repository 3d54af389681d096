"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    torch.manual_seed(cfg.seed)
    x = torch.rand(300_001)
    return float(x.double().sum().round())


if __name__ == "__main__":
    main()
