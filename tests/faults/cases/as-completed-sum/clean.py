"""The same, done well."""

from concurrent.futures import ThreadPoolExecutor

import hydra


def part(i):
    return (1e16, 1.0, -1e16, 3.0)[i % 4]


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(part, range(16)))


if __name__ == "__main__":
    main()
