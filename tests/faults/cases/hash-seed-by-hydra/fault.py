"""hydra.job.env_set sets the hash seed, too late."""

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return hash("a") % 1000003


if __name__ == "__main__":
    main()
