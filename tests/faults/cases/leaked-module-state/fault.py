"""What one job leaves in a module reaches the next."""

import hydra

SEEN = []


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    SEEN.append(cfg.seed)
    return len(SEEN)


if __name__ == "__main__":
    main()
