"""Which bytes of an optimizer's tensors are read at which step.

Reading all weights, gradients and optimizer states at every step costs a tenth of a short step and more of a long one,
where the model is large. Two trainings that part do so in nearly all of their weights within a step or two, and a
part of them shows it. So the tensors are cut into pieces, each piece has its turn, and the turns go round: what a step
costs is bounded, every byte is read in time, and two runs of one program read the same pieces at the same step.
Weights, gradients and states go round each by themselves, so that every step has some of each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args

Kind = Literal["gradients", "optimizer", "weights"]


class Budget(NamedTuple):
    """How much of a large model a step reads."""

    piece_bytes: int
    pieces: int
    bytes: int


IN_HOST = Budget(piece_bytes=16 << 10, pieces=24, bytes=512 << 10)
"""Where reading costs time by the byte."""
ON_DEVICE = Budget(piece_bytes=512 << 10, pieces=6, bytes=3 << 20)
"""Where it costs by the call: a byte is read in a third of a picosecond, a call takes the host microseconds."""


class Piece(NamedTuple):
    """Some bytes of one tensor, which is looked up anew each time: a program may put another in its place."""

    kind: Kind
    parameter: Any
    key: str
    """Of the parameter's state."""
    windows: list[tuple[int, int]]
    """Offset and length in bytes: one, or none of an empty tensor."""
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
        self._held = [optimizer.param_groups[:], *(group["params"][:] for group in optimizer.param_groups)]
        """So that nothing else has the ids that the shape is made of."""
        budget = IN_HOST if _lies_in_host(optimizer) else ON_DEVICE
        pieces = list(_pieces(optimizer, names, None if whole else budget.piece_bytes))
        size = sum(sum(length for _, length in piece.windows) for piece in pieces)
        count = 1 if whole else max(-(-len(pieces) // budget.pieces), -(-size // budget.bytes), 1)
        of_kinds = [[piece for piece in pieces if piece.kind == kind] for kind in get_args(Kind)]
        self._turns = [
            [of_kind[turn :: min(count, len(of_kind))] for turn in range(min(count, len(of_kind)))]
            for of_kind in of_kinds
            if of_kind
        ]
        keys = [[key for key in group if key != "params"] for group in optimizer.param_groups]
        groups = list(zip(optimizer.param_groups, keys, strict=True))
        self._plain = [(group, key) for group, keys in groups for key in keys if _is_plain(group[key])]
        self._tensors = [
            (group, key) for group, keys in groups for key in keys if hasattr(group[key], "element_size")
        ]
        self._has_plain_states = any(True for _ in _plain_states(optimizer))
        self._values: list[Any] = []
        self._shown = b""

    def fits(self, optimizer: Any) -> bool:
        """Whether the optimizer still has the same parameters, groups and number of states."""
        return self._shape == _shape_of(optimizer)

    def at(self, turn: int) -> list[Piece]:
        """The pieces of a turn: of each kind some; after the last comes the first."""
        return [piece for turns in self._turns for piece in turns[turn % len(turns)]]

    def plain_values(self, optimizer: Any) -> bytes:
        """What the optimizer goes by besides tensors, as text: rates that a schedule changes, counts of steps."""
        values = [group.get(key) for group, key in self._plain]
        if self._has_plain_states:
            values += _plain_states(optimizer)
        if values != self._values:
            self._values = values
            self._shown = repr(
                [value if _is_plain(value) else type(value).__name__ for value in values]
            ).encode()
        return self._shown

    def group_tensors(self, optimizer: Any) -> list[Any]:
        """Rates that are tensors, as `capturable` optimizers have them."""
        return [value for group, key in self._tensors if hasattr(value := group.get(key), "element_size")]


def all_weights(optimizer: Any) -> Iterator[tuple[int, int, Any]]:
    """Every parameter, with its group's and its own number."""
    for group_number, group in enumerate(optimizer.param_groups):
        for number, parameter in enumerate(group["params"]):
            yield group_number, number, parameter


def _plain_states(optimizer: Any) -> Iterator[Any]:
    for _, _, parameter in all_weights(optimizer):
        for value in optimizer.state.get(parameter, {}).values():
            if _is_plain(value):
                yield value


def _is_plain(value: Any) -> bool:
    """Whether its text says what it is, and nothing of where it lies in memory."""
    if isinstance(value, (list, tuple)):
        return all(_is_plain(item) for item in value)
    return value is None or type(value) in (bool, int, float, str)


def _shape_of(optimizer: Any) -> list[int]:
    shape = [len(optimizer.state)]
    for group in optimizer.param_groups:
        shape.append(id(group))
        shape += map(id, group["params"])
    return shape


def _lies_in_host(optimizer: Any) -> bool:
    return all(parameter.is_cpu for _, _, parameter in all_weights(optimizer))


def _pieces(optimizer: Any, names: dict[int, str], piece_bytes: int | None) -> Iterator[Piece]:
    """All of them; with no size given, each tensor whole."""
    for group, number, parameter in all_weights(optimizer):
        name = names.get(id(parameter), f"group{group}.{number}")
        yield from _cut("gradients", parameter, "", name, parameter, piece_bytes)
        for key, value in optimizer.state.get(parameter, {}).items():
            if hasattr(value, "element_size"):
                yield from _cut("optimizer", parameter, str(key), f"{name}.{key}", value, piece_bytes)
        yield from _cut("weights", parameter, "", name, parameter, piece_bytes)


def _cut(
    kind: Kind, parameter: Any, key: str, name: str, tensor: Any, piece_bytes: int | None
) -> Iterator[Piece]:
    place = (kind,) if piece_bytes is not None else ("tensors", kind, name)
    try:
        size = tensor.nbytes
    except (ValueError, RuntimeError):  # a lazy parameter that no data has come to, a tensor of functorch
        size = 0
    step = max(piece_bytes or size, 1)
    for offset in range(0, max(size, 1), step):
        length = min(step, size - offset)
        yield Piece(kind, parameter, key, [(offset, length)] if length else [], place)
