"""A dictionary whose keys come from a set decides class indices."""

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    classes = {name: i for i, name in enumerate({"cat", "dog", "bird", "fish", "cow"})}
    return classes


if __name__ == "__main__":
    main()
