"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = torch.zeros(1000)
    return int(x.ne(0).sum())


if __name__ == "__main__":
    main()
