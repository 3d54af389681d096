"""Vocabulary from a set of strings."""

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    words = set("the cat sat on a mat with another hat".split())
    return {"vocabulary": " ".join(words)}


if __name__ == "__main__":
    main()
