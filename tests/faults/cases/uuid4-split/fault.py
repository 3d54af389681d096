"""A train and test split by uuid4."""

import uuid

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    ids = [uuid.uuid4().int % 10 for _ in range(20)]  # <-
    return sum(i < 8 for i in ids)


if __name__ == "__main__":
    main()
