"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = torch.rand(512, 512, device="cuda")
    return float(sum(x @ x for _ in range(4)).sum())


if __name__ == "__main__":
    main()
