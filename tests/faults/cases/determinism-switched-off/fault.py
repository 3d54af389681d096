"""A framework switches deterministic algorithms off."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    torch.manual_seed(cfg.seed)
    torch.use_deterministic_algorithms(False)
    index = torch.randint(0, 10, (200_000,))
    values = torch.rand(200_000)
    out = torch.zeros(10)
    out.index_put_((index,), values, accumulate=True)
    return float(out.sum())


if __name__ == "__main__":
    main()
