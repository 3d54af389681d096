"""The same, done well."""

from concurrent.futures import ThreadPoolExecutor

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(int, range(8)))
    return {"order": " ".join(map(str, found))}


if __name__ == "__main__":
    main()
