"""The ranks of one attempt find each other at the entry of a loop, and learn from rank 0 where they go on.

Notes of earlier attempts lie in the same folder, and no launcher names an attempt uniquely. So rank 0 invites with a
number that nobody had before, each rank answers that very invitation with a number of its own, and what rank 0 tells
then holds only for a rank whose number is in it.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from repro_hydra.checkpoint.errors import CheckpointError
from repro_hydra.checkpoint.file import Say
from repro_hydra.checkpoint.notice import Notice

WAIT_S = 600.0
"""How long the ranks wait for each other; some may be loading data."""
_SAY_AFTER_S = 10.0
_ATTEMPT = re.compile("[0-9a-f]{8}")
"""It becomes a folder's name."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A rank's process, for those on the same machine."""

    host: str
    pid: int
    started_at: float


class Invitation(msgspec.Struct, frozen=True, kw_only=True):
    """Rank 0 is there."""

    attempt: str
    process: Process


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Another rank is there, and has read the invitation."""

    attempt: str
    token: str
    world: int


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """What rank 0 tells when all are there."""

    attempt: str = ""
    tokens: dict[int, str] = {}
    number: int = 0
    """The highest number that a checkpoint has."""
    folder: str | None = None
    """The set to go on from."""
    refused: str | None = None
    """Why nobody begins."""


class Entry:
    """One rank at the entry.

    Parameters
    ----------
    folder : Path
        The loop's own.
    """

    def __init__(
        self,
        folder: Path,
        rank: int,
        world: int,
        *,
        say: Say,
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._folder = folder
        self._rank, self._world = rank, world
        self._say = say
        self._wait_s = wait_s
        self._clock, self._pause = clock, pause
        self._invitation = Notice(folder / "invitation", Invitation)
        self._beginning = Notice(folder / "beginning", Beginning)
        self.attempt = ""
        self.rank_zero: Process | None = None

    @property
    def together(self) -> Path:
        """The folder of this attempt's own."""
        return self._folder / self.attempt

    def lead(self, process: Process, begin: Callable[[], Beginning]) -> Beginning:
        """Rank 0: gather the others, and tell them what `begin` gives.

        Raises
        ------
        CheckpointError
            Not all of them came; or what `begin` raises, which the others are told.
        OSError
            The folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._forget_earlier()
        self.attempt, self.rank_zero = uuid.uuid4().hex[:8], process
        self.together.mkdir()
        self._invitation.write(Invitation(attempt=self.attempt, process=process))
        tokens = self._gather()
        try:
            told = begin()
        except CheckpointError as error:
            self._beginning.write(Beginning(attempt=self.attempt, tokens=tokens, refused=str(error)))
            raise
        told = msgspec.structs.replace(told, attempt=self.attempt, tokens=tokens)
        self._beginning.write(told)
        return told

    def follow(self) -> Beginning:
        """Another rank: answer, and wait for what rank 0 tells.

        Raises
        ------
        CheckpointError
            It refuses, or said nothing in time.
        OSError
            The folder cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        answer = Notice(self._folder / f"answer-{self._rank}", Answer)
        token = uuid.uuid4().hex
        for _ in self._until_late():
            invitation = self._invitation.read()
            if invitation is None or _ATTEMPT.fullmatch(invitation.attempt) is None:
                continue
            if invitation.attempt != self.attempt:
                self.attempt, self.rank_zero = invitation.attempt, invitation.process
                answer.write(Answer(attempt=self.attempt, token=token, world=self._world))
            told = self._beginning.read()
            if told is not None and told.attempt == self.attempt and told.tokens.get(self._rank) == token:
                if told.refused is not None:
                    raise CheckpointError(f"rank 0 refuses to go on: {told.refused}")
                return told
        raise CheckpointError(
            f"resumable: rank {self._rank} of {self._world}: expected all ranks to enter the loop, found no rank 0 "
            f"within {self._wait_s:.0f} s in {self._folder}"
        )

    def _gather(self) -> dict[int, str]:
        others = range(1, self._world)
        tokens: dict[int, str] = {}
        said = False
        for waited_s in self._until_late():
            for rank in others:
                answer = Notice(self._folder / f"answer-{rank}", Answer).read()
                if answer is not None and answer.attempt == self.attempt:
                    tokens[rank] = answer.token
            if len(tokens) == len(others):
                return tokens
            if waited_s > _SAY_AFTER_S and not said:
                said = True
                self._say(f"waiting for {self._missing(tokens)} to enter the loop")
        raise CheckpointError(
            f"resumable: expected all {self._world} ranks to enter the loop, found no {self._missing(tokens)} within "
            f"{self._wait_s:.0f} s in {self._folder}. (A batch script with --ntasks={self._world} starts one process: "
            "write srun before the command)"
        )

    def _missing(self, tokens: Mapping[int, str]) -> str:
        return ", ".join(f"rank {rank}" for rank in range(1, self._world) if rank not in tokens)

    def _until_late(self) -> Iterator[float]:
        begun = self._clock()
        pause_s = 0.002
        while (waited_s := self._clock() - begun) < self._wait_s:
            yield waited_s
            self._pause(pause_s)
            pause_s = min(2 * pause_s, 0.05)

    def _forget_earlier(self) -> None:
        for entry in self._folder.iterdir():
            if entry.is_dir():
                with contextlib.suppress(
                    OSError
                ):  # a rank of an earlier attempt that still runs: its own affair
                    shutil.rmtree(entry)
