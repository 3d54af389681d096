"""Objects sorted by id()."""

import hydra


class Node:
    def __init__(self, number):
        self.number = number


@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    nodes = [Node(i) for i in range(300)]
    del nodes[::3]
    nodes += [Node(i) for i in range(100)]
    nodes.sort(key=lambda node: id(node) % 65521)  # <-
    return {"order": " ".join(str(node.number) for node in nodes)}


if __name__ == "__main__":
    main()
