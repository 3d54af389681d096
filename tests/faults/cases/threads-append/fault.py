"""Threads append to one list."""

from concurrent.futures import ThreadPoolExecutor

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    found = []
    with ThreadPoolExecutor(8) as pool:
        for i in range(8):
            pool.submit(found.append, i)  # <-
    return {"order": " ".join(map(str, found))}


if __name__ == "__main__":
    main()
