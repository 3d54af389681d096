"""Numbers read as the locale has them."""

import locale

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    locale.setlocale(locale.LC_ALL, "")  # <-
    return locale.atof("1.234") + locale.atof("0.5")


if __name__ == "__main__":
    main()
