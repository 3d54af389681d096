"""The audit of a job: hooks on while it lasts, and findings with the user's file and line at its end."""

from __future__ import annotations

from collections.abc import Callable

from repro_hydra.audit import (
    before,
    gymnasium_hooks,
    jax_hooks,
    numpy_hooks,
    python_hooks,
    stale_bytecode,
    tensorflow_hooks,
    torch_hooks,
    variable_reads,
)
from repro_hydra.audit.book import AuditBook
from repro_hydra.audit.copied_generators import CopiedGenerators
from repro_hydra.patches import Patches
from repro_hydra.record.schema import Finding


class SeedingAudit(AuditBook):
    """Watches who seeds what while a job runs: puts the hooks in, and takes them out. Its parameters are the book's."""

    def __init__(self, when_imported: Callable[[str, Callable[[], None]], None], start: str) -> None:
        super().__init__(when_imported, start)
        self._entered = False
        self._patches = Patches()
        self._copied = CopiedGenerators(self)

    def enter(
        self, *, fresh: bool = True, is_unrecorded: variable_reads.IsUnrecorded = lambda _name, _value: False
    ) -> None:
        """Put the hooks in.

        Parameters
        ----------
        fresh : bool
            No session was in this process before, so what its top level did is seen.
        is_unrecorded : callable
            Whether an environment variable (name, value) is an input that the record does not hold.
        """
        if fresh:
            before.look(self, is_unrecorded)
        variable_reads.install(self, self._patches, is_unrecorded)
        python_hooks.install(self, self._patches)
        self.when_imported("uuid", lambda: self._hook(python_hooks.watch_uuid))
        self.when_imported("ssl", lambda: self._hook(python_hooks.watch_ssl))
        self.when_imported("numpy.random", lambda: self._hook(numpy_hooks.install))
        self.when_imported("torch", lambda: self._hook(torch_hooks.install))
        self.when_imported("jax.random", lambda: self._hook(jax_hooks.install))
        self.when_imported("tensorflow", lambda: self._hook(tensorflow_hooks.install))
        self.when_imported("gymnasium.utils.seeding", lambda: self._hook(gymnasium_hooks.watch_generators))
        self.when_imported(
            "gymnasium.vector.async_vector_env", lambda: self._hook(gymnasium_hooks.watch_vectors)
        )
        self.when_imported("multiprocessing.util", self._copied.watch)
        self._patches.rebind()
        self._entered = True

    def _hook(self, install: Callable[[SeedingAudit, Patches], None]) -> None:
        install(self, self._patches)
        if self._entered:
            self._patches.rebind()

    def stop(self) -> None:
        """Take the hooks out."""
        self.settle()
        self._copied.stop()
        self._patches.undo()

    def findings(self) -> list[Finding]:
        """What was seen so far, each line of code once."""
        self.settle()
        stale_bytecode.look(self)
        return list(self._found.values())

    def settle(self) -> None:
        """As `AuditBook.settle`, with what forked children said of the generators that they copied."""
        self._copied.settle()
        super().settle()
