"""cuBLAS with its default workspace on several streams."""

import hydra
import torch


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    x = torch.rand(512, 512, device="cuda")
    streams = [torch.cuda.Stream() for _ in range(4)]
    out = []
    for stream in streams:
        with torch.cuda.stream(stream):
            out.append(x @ x)
    torch.cuda.synchronize()
    return float(sum(out).sum())


if __name__ == "__main__":
    main()
