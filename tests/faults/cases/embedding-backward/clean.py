"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    w = torch.zeros(10, requires_grad=True)
    (w * torch.rand(10)).sum().backward()
    return float(w.grad.sum())


if __name__ == "__main__":
    main()
