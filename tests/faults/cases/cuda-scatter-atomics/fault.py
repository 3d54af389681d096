"""scatter_add_ on a GPU adds atomically."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    out = torch.zeros(10, device="cuda")
    out.scatter_add_(0, torch.randint(0, 10, (10**6,), device="cuda"), torch.rand(10**6, device="cuda"))
    return float(out.sum())


if __name__ == "__main__":
    main()
