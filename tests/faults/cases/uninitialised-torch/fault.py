"""torch.empty is read before it is written."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = torch.empty(1000)
    return int(torch.nan_to_num(x).ne(0).sum()), float(x.isnan().sum())


if __name__ == "__main__":
    main()
