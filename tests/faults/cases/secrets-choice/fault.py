"""secrets.choice picks the examples."""

import secrets

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return [secrets.choice(range(1000)) for _ in range(5)]  # <-


if __name__ == "__main__":
    main()
