"""`deterministic`: the settings of strict for a piece of a program, and everything as it was after it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from repro_hydra.config import DeterminismConf, Precision, TorchDeterminism
from repro_hydra.determinism.watch import SettingRecord, SettingsWatch
from repro_hydra.imports import LateImports
from repro_hydra.record.schema import Finding

_Choice = TypeVar("_Choice", bound=Enum)


class Determinism:
    """What `deterministic` put in force, and what it could not."""

    def __init__(self, watch: SettingsWatch) -> None:
        self._watch = watch

    @property
    def settings(self) -> list[SettingRecord]:
        """Each setting: what was asked, what was found before, and what is in force."""
        return self._watch.record().settings

    @property
    def not_in_force(self) -> list[Finding]:
        """Those that come too late in a running process, with what to do: the hash seed among them."""
        return [
            finding
            for finding in self._watch.entry_findings()
            if finding.id.startswith("setting-not-in-force:")
        ]


@contextmanager
def deterministic(
    *, torch: str = "enforce", threads: int | None = 1, precision: str = "full"
) -> Iterator[Determinism]:
    """Within it what strict asks for is in force, as far as a running process can; after it all is as it was.

    Libraries that are imported within it are set as they come. A call that would weaken a setting takes no effect.
    In a run of ``+repro=strict`` all of it is in force already.

    Parameters
    ----------
    torch : {"enforce", "warn", "off"}
        What is asked of torch's deterministic algorithms, and of the back ends with them.
    threads : int, optional
        Of torch and BLAS; None leaves them as they are.
    precision : {"full", "own"}
        Whether float32 is kept whole (no TF32), or left to the program.

    Yields
    ------
    Determinism
        With ``settings``, and ``not_in_force``: what only the interpreter's start can set.

    Raises
    ------
    ValueError
        For another word.

    Examples
    --------
    >>> with deterministic(threads=1) as held:  # doctest: +SKIP
    ...     loss = train()
    ...     [finding.message for finding in held.not_in_force]
    """
    options = DeterminismConf(
        torch=_one_of(TorchDeterminism, torch, "torch"),
        threads=threads,
        precision=_one_of(Precision, precision, "precision"),
    )
    late = LateImports()
    late.install()
    watch = SettingsWatch(options, late.when_imported, os.getcwd(), undoable=True)  # noqa: PTH109
    try:
        watch.enter()
        yield Determinism(watch)
    finally:
        late.remove()
        watch.stop()
        watch.restore()


def _one_of(choices: type[_Choice], given: str, name: str) -> _Choice:
    try:
        return choices(given)
    except ValueError:
        known = ", ".join(choice.value for choice in choices)
        raise ValueError(f"{name}: expected one of {known}, found {given!r}") from None
