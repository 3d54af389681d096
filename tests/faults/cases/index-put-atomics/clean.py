"""The same, done well."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    index = torch.randint(0, 10, (200_000,))
    values = torch.rand(200_000)
    out = torch.zeros(10, dtype=torch.int64)
    out.index_put_((index,), (values * 100).long(), accumulate=True)
    return {str(i): int(v) for i, v in enumerate(out)}


if __name__ == "__main__":
    main()
