"""The backward of w[index] adds atomically."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    torch.manual_seed(cfg.seed)
    w = torch.zeros(10, requires_grad=True)
    index = torch.randint(0, 10, (200_000,))
    values = torch.rand(200_000)
    (w[index] * values).sum().backward()
    return float(w.grad.sum())


if __name__ == "__main__":
    main()
