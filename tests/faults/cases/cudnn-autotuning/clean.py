"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = torch.rand(8, 16, 64, 64, device="cuda")
    w = torch.rand(16, 16, 3, 3, device="cuda", requires_grad=True)
    torch.nn.functional.conv2d(x, w).sum().backward()
    return float(w.grad.sum())


if __name__ == "__main__":
    main()
