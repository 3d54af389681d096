"""hash() of a file name splits train and test."""

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return sum(hash(f"image{i}.png") % 5 == 0 for i in range(1000))


if __name__ == "__main__":
    main()
