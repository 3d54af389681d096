"""Pool.imap_unordered: results as processes finish."""

import multiprocessing

import hydra


def part(i):
    return (1e16, 1.0, -1e16, 3.0)[i % 4]


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with multiprocessing.Pool(4) as pool:
        return {"order": " ".join(str(i) for i in pool.imap_unordered(part, range(12)))}  # <-


if __name__ == "__main__":
    main()
