"""Class names sorted as the locale has it."""

import locale

import hydra


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    locale.setlocale(locale.LC_COLLATE, "")  # <-
    return {"order": " ".join(sorted(["Zebra", "apfel", "Äpfel", "zebra", "Apfel"], key=locale.strxfrm))}


if __name__ == "__main__":
    main()
