"""Options that take away what strict promises: accepted, and never passed over in silence."""

from __future__ import annotations

from repro_hydra.config import Mode, ReproConf, TorchDeterminism
from repro_hydra.record.schema import Finding


def weakened(options: ReproConf) -> list[Finding]:
    """What a strict run with these options cannot promise any more; nothing in the other modes, which promise nothing.

    Without a seed no second run can be the same, so that stops the start. Without a setting it may still be, so
    the run goes on and its result is marked.
    """
    if options.mode is not Mode.strict:
        return []
    determinism = options.determinism
    found = []
    if not options.seed.set:
        found.append(
            Finding(
                id="seed-not-set",
                severity="blocks",
                message="seed.set: expected true, found false: each run would draw other numbers. Leave out "
                "+repro/seed=off, or take +repro=standard",
            )
        )
    if determinism.torch is not TorchDeterminism.enforce:
        found.append(
            _weaker(
                "torch",
                f"expected enforce, found {determinism.torch.value}: an operator that is not deterministic would run. "
                "Waive the one that needs it: hydra.callbacks.repro.allow='{nondeterministic-op\\:NAME: reason}'",
            )
        )
    if not determinism.interpreter:
        found.append(
            _weaker(
                "interpreter",
                "expected true, found false: sets of strings iterate in an order that nobody chose. Leave it out",
            )
        )
    return found


def _weaker(option: str, message: str) -> Finding:
    return Finding(
        id=f"setting-weakened:{option}",
        severity="may_change_bits",
        message=f"determinism.{option}: {message}",
    )
