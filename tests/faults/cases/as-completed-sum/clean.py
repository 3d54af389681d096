"""The same, done well."""

from concurrent.futures import ThreadPoolExecutor

import hydra


def part(i):
    return 0.1 * 3**i


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with ThreadPoolExecutor(8) as pool:
        total = smoothed = 0.0
        for result in pool.map(part, range(16)):
            total += result
            smoothed = 0.9 * smoothed + 0.1 * result
    return {"total": total, "smoothed": smoothed}


if __name__ == "__main__":
    main()
