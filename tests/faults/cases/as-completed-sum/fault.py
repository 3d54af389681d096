"""A float sum in the order in which threads finish."""

from concurrent.futures import ThreadPoolExecutor, as_completed

import hydra


def part(i):
    return (1e16, 1.0, -1e16, 3.0)[i % 4]


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(part, i) for i in range(16)]
        total = 0.0
        for job in as_completed(jobs):  # <-
            total += job.result()
    return total


if __name__ == "__main__":
    main()
