"""The same, done well."""

import multiprocessing

import hydra


def part(i):
    return 0.1 * 3**i


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    with multiprocessing.Pool(4) as pool:
        return {"order": " ".join(str(i) for i in pool.imap(part, range(12)))}


if __name__ == "__main__":
    main()
