"""The same, done well."""

import zlib

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    return sum(zlib.crc32(f"image{i}.png".encode()) % 5 == 0 for i in range(1000))


if __name__ == "__main__":
    main()
