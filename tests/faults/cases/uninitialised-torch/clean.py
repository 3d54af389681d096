"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = torch.zeros(100, dtype=torch.uint8)
    return int(x.long().sum())


if __name__ == "__main__":
    main()
