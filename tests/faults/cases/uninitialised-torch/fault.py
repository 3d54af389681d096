"""torch.empty is read before it is written."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = torch.empty(100, dtype=torch.uint8)
    return int(x.long().sum())


if __name__ == "__main__":
    main()
