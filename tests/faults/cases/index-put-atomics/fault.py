"""index_put_ with accumulate: threads add in no fixed order."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    torch.manual_seed(cfg.seed)
    index = torch.randint(0, 10, (200_000,))
    values = torch.rand(200_000)
    out = torch.zeros(10)
    out.index_put_((index,), values, accumulate=True)
    return {str(i): float(v) for i, v in enumerate(out)}


if __name__ == "__main__":
    main()
