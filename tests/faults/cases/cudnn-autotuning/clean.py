"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = torch.rand(10, device="cuda")
    return float(x.cpu().sum())


if __name__ == "__main__":
    main()
