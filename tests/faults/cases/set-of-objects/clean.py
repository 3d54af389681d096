"""The same, done well."""

import hydra


class Node:
    def __init__(self, number):
        self.number = number


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    nodes = [Node(i) for i in range(200)]
    kept = dict.fromkeys(nodes)
    return {"order": " ".join(str(node.number) for node in kept)}


if __name__ == "__main__":
    main()
