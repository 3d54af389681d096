"""The state of any value that a training loop's function holds, and its way back into that value.

Numbers, text, tensors and containers of them are kept as they are; what has ``state_dict`` by that; generators by their
state; an instance of a class of the user's own by its attributes, one by one. The rest has no state that is ours to
keep: modules, functions, configs, data loaders.
"""

from __future__ import annotations

import collections
import io
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import blake3
import torch
from omegaconf import Container
from torch import nn
from torch.utils.data import DataLoader

from repro_hydra.checkpoint import generators
from repro_hydra.checkpoint.objects import beside_the_weights, fill, load_state, put_beside
from repro_hydra.checkpoint.plain import NotPlain, from_plain, to_plain

Node = dict[str, Any]
LARGE_BYTES = 1 << 20
"""Above it an array that is what it was when the loop began is not written again."""
_DEEPEST = 6
_NO_STATE = (
    io.IOBase,
    type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, DataLoader,
    torch.dtype, torch.device,
    # Asked for an attribute that it lacks, a config raises an error that holds the frames of all callers, in a circle.
    Container,
)  # fmt: skip
_DICTS = (dict, collections.OrderedDict, collections.defaultdict, collections.Counter)
_INSTALLED = tuple(
    {str(Path(path).resolve()) for name, path in sysconfig.get_paths().items() if "lib" in name}
)


class Keeper:
    """Takes and puts back values.

    Parameters
    ----------
    tracked : list
        Objects that are kept already: they are passed over.
    lost : callable
        Told the name and the class of a value that goes on by itself and has no state to be had.
    """

    def __init__(
        self, tracked: list[Any], gradients: bool = True, lost: Callable[[str, str], None] = lambda *_: None
    ) -> None:
        self._tracked = {id(part) for value in tracked for part in _with_parts(value)}
        self._lost = lost
        self._visited: set[int] = set()
        self.home = ""
        """The package that the loop is of: its classes are the user's own, installed or not."""
        self._gradients = gradients
        self._large: dict[int, tuple[Any, str]] = {}

    def remember_large(self, value: Any) -> None:
        """Note large arrays as they are before the loop: the code makes them again."""
        for array in self._arrays(value):
            self._large[id(array)] = (array, _digest(array))

    def begin(self) -> None:
        """Another checkpoint begins: what was seen for the last one is seen anew."""
        self._visited.clear()

    def take(self, value: Any, where: str, depth: int = 0) -> Node | None:
        """The state of `value`; None where it has none, or where it is kept elsewhere."""
        if id(value) in self._tracked or isinstance(value, _NO_STATE) or self._is_as_before(value):
            return None
        if generators.is_generator(value):
            return {"generator": generators.take(value)}
        if callable(getattr(value, "state_dict", None)) and callable(getattr(value, "load_state_dict", None)):
            return self._stateful(value, where)
        if self._goes_on_by_itself(value):
            self._lost(where, type(value).__name__)
            return None
        if type(value) in (dict, list) and value and depth < _DEEPEST:
            items = list(value.items() if isinstance(value, dict) else enumerate(value))
            if any(id(item) in self._tracked for _, item in items) or not _is_plain(value):
                return self._several("items", value, items, where, depth)
        if _is_plain(value):
            return {"plain": to_plain(value, where)}
        if depth < _DEEPEST and is_of_the_user(type(value), self.home) and hasattr(value, "__dict__"):
            return self._several("attributes", value, list(vars(value).items()), where, depth)
        return None

    def put(self, current: Any, node: Node) -> Any:
        """Give the state of `node` to `current`, in place where that can be; return what is to stand there."""
        if "plain" in node:
            return into(current, from_plain(node["plain"]))
        if current is None:
            self._lost("a variable", "an object made within the loop")
            return current
        if "generator" in node:
            generators.put(current, node["generator"])
        elif "state" in node:
            load_state("a variable", current, from_plain(node["state"]))
            if isinstance(current, nn.Module):
                put_beside(current, node)
        elif "items" in node:
            for key, child in node["items"]:
                if isinstance(current, dict):
                    current[key] = self.put(current.get(key), child)
                elif key < len(current):
                    current[key] = self.put(current[key], child)
                else:
                    self._lost("an item of a list", "an object made within the loop")
        else:
            for key, child in node["attributes"]:
                vars(current)[key] = self.put(vars(current).get(key), child)
        return current

    def _stateful(self, value: Any, where: str) -> Node | None:
        try:
            node: Node = {"state": to_plain(value.state_dict(), where)}
        except NotPlain:  # it has a state, of which a checkpoint can hold no part
            self._lost(where, type(value).__name__)
            return None
        return node | beside_the_weights(value, self._gradients) if isinstance(value, nn.Module) else node

    def _several(
        self, kind: str, holder: Any, items: list[tuple[Any, Any]], where: str, depth: int
    ) -> Node | None:
        if id(holder) in self._visited:  # it is kept where it was met first; many hold each other
            return None
        self._visited.add(id(holder))
        nodes = [
            (key, node)
            for key, item in items
            if type(key) in (str, int) and (node := self.take(item, f"{where}.{key}", depth + 1)) is not None
        ]
        return {kind: nodes} if nodes else None

    def _arrays(self, value: Any, depth: int = 0) -> Iterator[Any]:
        """The large tensors and arrays in `value`."""
        numpy = sys.modules.get("numpy")
        if isinstance(value, torch.Tensor) or (numpy is not None and isinstance(value, numpy.ndarray)):
            if value.nbytes > LARGE_BYTES:
                yield value
        elif depth < _DEEPEST and type(value) in (list, tuple, dict):
            for item in value.values() if isinstance(value, Mapping) else value:
                yield from self._arrays(item, depth + 1)
        elif depth < _DEEPEST and is_of_the_user(type(value), self.home) and hasattr(value, "__dict__"):
            for item in list(vars(value).values()):
                yield from self._arrays(item, depth + 1)

    def _goes_on_by_itself(self, value: Any) -> bool:
        """An iterator, or somebody's environment that is stepped: its state is its own affair, and changes."""
        if isinstance(value, Iterator):
            return True
        kind = type(value)
        stepped = callable(getattr(kind, "step", None)) and callable(getattr(kind, "reset", None))
        return stepped and not is_of_the_user(kind, self.home)

    def _is_as_before(self, value: Any) -> bool:
        known = self._large.get(id(value))
        return known is not None and known[0] is value and known[1] == _digest(value)


def into(current: Any, saved: Any) -> Any:
    """`saved`, put into `current` where that is a container or tensor of the same kind: others may hold it too."""
    if isinstance(current, torch.Tensor) and isinstance(saved, torch.Tensor):
        if (
            current.shape == saved.shape
            and current.dtype == saved.dtype
            and (current.is_leaf or not current.requires_grad)
        ):
            try:
                with torch.no_grad():
                    current.copy_(saved)
            except RuntimeError:  # an expanded view: it is replaced
                return saved.to(current.device)
            return current
        return saved.to(current.device)
    if isinstance(current, list) and isinstance(saved, list):
        head = [into(old, new) for old, new in zip(current, saved, strict=False)]
        fill(current, [*head, *saved[len(head) :]])
        return current
    if isinstance(current, dict) and isinstance(saved, dict):
        fill(current, {key: into(current.get(key), item) for key, item in saved.items()})
        return current
    return saved


def is_of_the_user(kind: type, home: str = "") -> bool:
    """Whether a class is of package `home`, or neither Python's own nor an installed package's, nor one of ours."""
    return is_users_module(kind.__module__, home)


def is_users_module(name: str, home: str = "") -> bool:
    """The same for a module by its name."""
    top = name.partition(".")[0]
    if top == __package__.partition(".")[0]:
        return False
    if name == "__main__" or (home and top == home):
        return True
    file = getattr(sys.modules.get(name), "__file__", None)
    return file is not None and not str(Path(file).resolve()).startswith(_INSTALLED)


def _with_parts(value: Any) -> list[Any]:
    """A model with its layers and parameters: whoever holds one of those holds what is kept."""
    if not isinstance(value, nn.Module):
        return [value]
    return [value, *value.modules(), *value.parameters(), *value.buffers()]


def _is_plain(value: Any) -> bool:
    if isinstance(value, dict) and type(value) not in _DICTS:
        return False  # a model's output: a plain dict in its place would not do
    try:
        to_plain(value, "")
    except (NotPlain, RecursionError):  # the latter: a list that holds itself
        return False
    return True


def _digest(array: Any) -> str:
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return str(blake3.blake3(array.tobytes()).hexdigest())
