"""A sum whose bits depend on the number of threads."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    torch.manual_seed(cfg.seed)
    x = torch.rand(300_001)
    return float(x.sum()) + float((x * x).mean())


if __name__ == "__main__":
    main()
