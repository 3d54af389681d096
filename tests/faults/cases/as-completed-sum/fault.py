"""A float sum in the order in which threads finish."""

from concurrent.futures import ThreadPoolExecutor, as_completed

import hydra


def part(i):
    return 0.1 * 3**i


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(part, i) for i in range(16)]
        total = smoothed = 0.0
        for job in as_completed(jobs):  # <-
            total += job.result()
            smoothed = 0.9 * smoothed + 0.1 * job.result()
    return {"total": total, "smoothed": smoothed}


if __name__ == "__main__":
    main()
