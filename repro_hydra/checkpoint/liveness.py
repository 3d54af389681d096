"""Which variables of a suspended function will still be read: backward data-flow analysis over its byte code.

The textbook method (Aho, Lam, Sethi & Ullman, *Compilers*, 9.2.5): a variable is live after an instruction where a path
leads from it to a read with no write before. What is dead need not be kept, however large it is.
"""

from __future__ import annotations

import dis
import re
from functools import lru_cache
from types import CodeType

_ACCESS = re.compile(r"(LOAD|STORE|DELETE)_(?:FAST|NAME|DEREF|CLASSDEREF|CLOSURE)")
_ENDS = {
    "RETURN_VALUE", "RETURN_CONST", "RAISE_VARARGS", "RERAISE",
    "JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE",
}  # fmt: skip
_JUMPS = {*dis.hasjrel, *dis.hasjabs}


def live_after(code: CodeType, offset: int) -> frozenset[str]:
    """The local variables that are read after the instruction at `offset` before they are written.

    Parameters
    ----------
    code : CodeType
        A function's or a module's.
    offset : int
        As a frame's ``f_lasti`` gives it.
    """
    offsets, live = _analysed(code)
    at = max((i for i, begin in enumerate(offsets) if begin <= offset), default=0)
    return live[at]


@lru_cache(maxsize=64)
def _analysed(code: CodeType) -> tuple[tuple[int, ...], tuple[frozenset[str], ...]]:
    """The instructions' offsets, and what is live after each."""
    instructions = list(dis.get_instructions(code))
    index = {instruction.offset: i for i, instruction in enumerate(instructions)}
    successors = [_successors(instruction, i, index) for i, instruction in enumerate(instructions)]
    handlers = _handlers(code, instructions, index)
    accesses = [_accesses(instruction) for instruction in instructions]
    before: list[set[str]] = [set() for _ in instructions]
    after: list[set[str]] = [set() for _ in instructions]
    changed = True
    while changed:
        changed = False
        for i in reversed(range(len(instructions))):
            out: set[str] = set()
            for successor in (*successors[i], *handlers[i]):
                if successor < len(instructions):
                    out |= before[successor]
            into = set(out)
            for kind, name in reversed(accesses[i]):
                if kind == "LOAD":
                    into.add(name)
                else:
                    into.discard(name)
            if handlers[i]:  # an exception may come before the write
                into |= {name for handler in handlers[i] for name in before[handler]}
            if into != before[i] or out != after[i]:
                before[i], after[i] = into, out
                changed = True
    return tuple(i.offset for i in instructions), tuple(frozenset(names) for names in after)


def _accesses(instruction: dis.Instruction) -> list[tuple[str, str]]:
    """Reads and writes in order; one instruction may do two (``STORE_FAST_LOAD_FAST``, 3.13)."""
    kinds = _ACCESS.findall(instruction.opname)
    names = (
        instruction.argval if isinstance(instruction.argval, tuple) else (instruction.argval,) * len(kinds)
    )
    return [(kind, str(name)) for kind, name in zip(kinds, names, strict=False)]


def _successors(instruction: dis.Instruction, i: int, index: dict[int, int]) -> list[int]:
    found = [] if instruction.opname in _ENDS else [i + 1]
    if instruction.opcode in _JUMPS:
        found.append(index[instruction.argval])
    return found


def _handlers(code: CodeType, instructions: list[dis.Instruction], index: dict[int, int]) -> list[list[int]]:
    """The exception handlers that may follow each instruction (3.11 and later; before, they are jumps)."""
    found: list[list[int]] = [[] for _ in instructions]
    for entry in getattr(dis.Bytecode(code), "exception_entries", ()):
        for i, instruction in enumerate(instructions):
            if entry.start <= instruction.offset < entry.end:
                found[i].append(index[entry.target])
    return found
