"""Which bytes of an optimizer's tensors are read at which step.

Reading all weights, gradients and optimizer states at every step costs a tenth of a short step and more of a long one,
where the model is large. Two trainings that part do so in nearly all of their weights within a step or two, and a
part of them shows it. So the tensors are cut into pieces, each piece has its turn, and the turns go round: what a step
costs is bounded, every byte is read in time, and two runs of one program read the same pieces at the same step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

Kind = Literal["weights", "gradients", "optimizer"]
PIECE_BYTES = 16 << 10
MOST_PIECES = 24
MOST_BYTES = 512 << 10
"""Of one step."""
_PLAIN = (int, float, tuple)


class Piece(NamedTuple):
    """Some bytes of one tensor, which is looked up anew each time: a program may put another in its place."""

    kind: Kind
    parameter: Any
    key: str
    """Of the parameter's state."""
    offset: int
    length: int
    """In bytes."""
    place: tuple[str, ...]
    """Of the digest in its line."""


class Turns:
    """The pieces of an optimizer, dealt out to turns.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        After its first step, when its state is there.
    names : mapping
        Of parameters, by id; those that are missing are called by their place in the optimizer.
    whole : bool
        One turn, in which every tensor is read whole.
    """

    def __init__(self, optimizer: Any, names: dict[int, str], *, whole: bool) -> None:
        self._shape = _shape_of(optimizer)
        pieces = list(_pieces(optimizer, names, whole=whole))
        size = sum(piece.length for piece in pieces)
        count = 1 if whole else max(-(-len(pieces) // MOST_PIECES), -(-size // MOST_BYTES), 1)
        self._turns = [pieces[turn::count] for turn in range(count)]
        self._groups = [
            (group, key)
            for group in optimizer.param_groups
            for key, value in group.items()
            if key != "params" and isinstance(value, _PLAIN)
        ]
        self._has_plain_states = any(True for _ in _plain_states(optimizer))
        self._values: list[Any] = []
        self._shown = b""

    def fits(self, optimizer: Any) -> bool:
        """Whether the optimizer still has as many parameters and states."""
        return self._shape == _shape_of(optimizer)

    def at(self, turn: int) -> list[Piece]:
        """The pieces of a turn; after the last comes the first."""
        return self._turns[turn % len(self._turns)]

    def plain_values(self, optimizer: Any) -> bytes:
        """What the optimizer goes by besides tensors, as text: rates that a schedule changes, counts of steps."""
        values = [group.get(key) for group, key in self._groups]
        if self._has_plain_states:
            values += _plain_states(optimizer)
        if values != self._values:
            self._values, self._shown = values, repr(values).encode()
        return self._shown

    def __len__(self) -> int:
        return len(self._turns)


def all_weights(optimizer: Any) -> Iterator[tuple[int, int, Any]]:
    """Every parameter, with its group's and its own number."""
    for group_number, group in enumerate(optimizer.param_groups):
        for number, parameter in enumerate(group["params"]):
            yield group_number, number, parameter


def _plain_states(optimizer: Any) -> Iterator[Any]:
    for _, _, parameter in all_weights(optimizer):
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, _PLAIN):
                yield value


def _shape_of(optimizer: Any) -> tuple[int, ...]:
    return (len(optimizer.state), *(len(group["params"]) for group in optimizer.param_groups))


def _pieces(optimizer: Any, names: dict[int, str], *, whole: bool) -> Iterator[Piece]:
    for group, number, parameter in all_weights(optimizer):
        name = names.get(id(parameter), f"group{group}.{number}")
        yield from _cut("gradients", parameter, "", name, parameter, whole=whole)
        for key, value in optimizer.state.get(parameter, {}).items():
            if hasattr(value, "element_size"):
                yield from _cut("optimizer", parameter, str(key), f"{name}.{key}", value, whole=whole)
        yield from _cut("weights", parameter, "", name, parameter, whole=whole)


def _cut(kind: Kind, parameter: Any, key: str, name: str, tensor: Any, *, whole: bool) -> Iterator[Piece]:
    size = tensor.numel() * tensor.element_size()
    step = size if whole else PIECE_BYTES
    for offset in range(0, max(size, 1), max(step, 1)):
        length = min(step, size - offset)
        yield Piece(kind, parameter, key, offset, length, ("tensors", kind, name) if whole else (kind,))
