"""A library sets the number of threads for itself."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    torch.set_num_threads(2)
    torch.manual_seed(cfg.seed)
    x = torch.rand(300_001)
    return float(x.sum()) + float((x * x).mean())


if __name__ == "__main__":
    main()
