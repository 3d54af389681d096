"""A set of objects iterates by address."""

import hydra


class Node:
    def __init__(self, number):
        self.number = number


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    nodes = [Node(i) for i in range(200)]
    kept = set(nodes)
    return {"order": " ".join(str(node.number) for node in kept)}  # <-


if __name__ == "__main__":
    main()
