"""The same, done well."""

import uuid

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    ids = [uuid.uuid5(uuid.NAMESPACE_OID, f"{cfg.seed}-{i}").int % 10 for i in range(20)]
    return sum(i < 8 for i in ids)


if __name__ == "__main__":
    main()
