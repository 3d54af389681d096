"""Findings held against the mode and the waivers: what stops a start, and what a result is worth after it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from repro_hydra.config import Mode
from repro_hydra.determinism.operators import KIND
from repro_hydra.record.schema import Finding, Upheld

ALLOW = "hydra.callbacks.repro.allow"
ANY_ONE = "?"
NOTHING_CREATED = "nothing was started and nothing created"
NOT_BEGUN = "the task was not begun"


class Refused(Exception):
    """The checks do not let the run start. Its text is the message for the user."""

    exit_status = 1

    def __init__(self, findings: Sequence[Finding], what: str, so: str = NOTHING_CREATED) -> None:
        self.findings = tuple(findings)
        self._arguments = (self.findings, what, so)
        super().__init__(refusal(self.findings, what, so))

    def __reduce__(self) -> tuple[type[Refused], tuple[tuple[Finding, ...], str, str]]:
        return type(self), self._arguments  # it travels from a job's process to its sweep


class Misuse(Exception):
    """Something the user gave that cannot be meant: no check, so nothing to waive."""

    exit_status = 2


def waive(findings: Iterable[Finding], allow: Mapping[str, str]) -> list[Finding]:
    """The findings, each once, those named in `allow` marked with the reason given there."""
    seen: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        reason = reason_to_allow(finding.id, allow)
        marked = msgspec.structs.replace(finding, waived=reason) if reason is not None else finding
        seen.setdefault((finding.id, finding.message), marked)
    return list(seen.values())


def waived_ids(findings: Iterable[Finding]) -> dict[str, str]:
    """Each finding that is waived, with the reason."""
    return {finding.id: finding.waived for finding in findings if finding.waived is not None}


def blockers(findings: Iterable[Finding], mode: Mode) -> list[Finding]:
    """What stops the start: in strict every unwaived finding that blocks, in the other modes nothing."""
    if mode is not Mode.strict:
        return []
    return [finding for finding in findings if finding.severity == "blocks" and finding.waived is None]


def judge(findings: Iterable[Finding], mode: Mode) -> Upheld:
    """Whether the promise of a strict run was upheld, by what was found."""
    if mode is not Mode.strict:
        return "not_promised"
    serious = [finding for finding in findings if finding.severity != "harmless"]
    if any(finding.waived is None for finding in serious):
        return "no"
    return "waived" if serious else "yes"


def reason_to_allow(finding_id: str, allow: Mapping[str, str]) -> str | None:
    """The reason given for waiving this finding; None where it is not waived.

    A ``?`` in `allow` stands for any one character, since Hydra's keys cannot hold all that a file's name can.

    ``{undeclared-input:data.csv: old}`` reaches us as the key ``undeclared-input`` with the value
    ``data.csv: old``, since Hydra ends a key at its first bare colon. An id that ends in a line
    (``seeded-again:random@train.py:12``) is also waived without it, for the whole file: lines move. A folder waives
    the undeclared inputs that lie in it.
    """
    whole_file = re.sub(r":\d+$", "", finding_id)
    for named in dict.fromkeys((finding_id, whole_file, *_folders(finding_id))):
        reason = _reason_for(named, allow)
        if reason is not None:
            return reason
    return None


def _folders(finding_id: str) -> Iterator[str]:
    kind, _, path = finding_id.partition(":")
    while kind == "undeclared-input" and "/" in path.strip("/") and "://" not in path:
        path = path.rpartition("/")[0]
        yield f"{kind}:{path}"


def _reason_for(finding_id: str, allow: Mapping[str, str]) -> str | None:
    if finding_id in allow:
        return allow[finding_id]
    for key, reason in allow.items():
        if ANY_ONE in key and _fits(finding_id, key):
            return reason
    kind, _, subject = finding_id.partition(":")
    rest = allow.get(kind, "")
    if subject and rest.startswith(f"{subject}:"):
        return rest[len(subject) + 1 :].strip()
    return None


def _fits(finding_id: str, key: str) -> bool:
    return len(finding_id) == len(key) and all(
        k in (i, ANY_ONE) for i, k in zip(finding_id, key, strict=True)
    )


def waived_operators(allow: Mapping[str, str]) -> Callable[[str], bool] | None:
    """Whether an operator without a deterministic implementation is waived, by its name; None where none can be."""
    if not any(_fits(KIND, key[: len(KIND)]) for key in allow):
        return None
    return lambda name: reason_to_allow(f"{KIND}:{name}", allow) is not None


def how_to_waive(finding: Finding) -> str:
    """The override that waives `finding`, quoted for a shell and escaped for Hydra."""
    expressible = re.sub(r"[^\w\-/\\+.$%*@?|()\[\]{}:=, \t]", ANY_ONE, finding.id, flags=re.ASCII)
    escaped = re.sub(r"([\\()\[\]{}:=,\s])", r"\\\1", expressible)
    return shlex.quote(f"{ALLOW}={{{escaped}: REASON}}")


def refusal(findings: Sequence[Finding], what: str, so: str = NOTHING_CREATED) -> str:
    """All blockers at once, each with its mend and the id that waives it."""
    things = "1 thing stands" if len(findings) == 1 else f"{len(findings)} things stand"
    lines = [f"repro: {what}: {things} in the way, so {so}."]
    for number, finding in enumerate(findings, start=1):
        lines.append(f"  {number}. [{finding.id}] {finding.message}")
        lines.append(f"     To go on all the same: {how_to_waive(finding)}")
    return "\n".join(lines)
