"""What is said of an input that nobody declared: one finding each, with the line to add and its waiver."""

from __future__ import annotations

import os
import re

import msgspec

from repro_hydra.inputs.hubs import HubSource
from repro_hydra.inputs.remote import Answer
from repro_hydra.record.data import InputRecord
from repro_hydra.record.schema import Finding
from repro_hydra.session.findings import how_to_waive

_PLAIN = re.compile(r"[\w./-]+", re.ASCII)
_CACHE_OF_MAP = re.compile(r"(?:^|/)cache-[0-9a-f]+\.arrow$")


def undeclared(record: InputRecord, ignored: bool) -> Finding:
    why = " (git ignores it)" if ignored else ""
    what = f"{record.files} files of it were read" if record.kind == "directory" else "was read"
    declare = f"repro_hydra.dataset({record.path!r}) where it is opened"
    if _PLAIN.fullmatch(record.path):
        name = os.path.basename(record.path)  # noqa: PTH119 (a path as text, from a record)
        declare = f"hydra.callbacks.repro.data.datasets='{{{name}: {record.path}}}', or {declare}"
    mend = f"Declare it: {declare}"
    if _CACHE_OF_MAP.search(record.path):
        mend = (
            "It is what `map` or `filter` of `datasets` kept of an earlier run: datasets.disable_caching() before them "
            "makes it anew in each"
        )
    return _with_waiver(
        Finding(
            id=f"undeclared-input:{record.path}",
            severity="may_change_bits",
            message=(
                f"{record.path}: {what}, and neither the code's snapshot nor a declared dataset holds it{why}. "
                f"{mend}"
            ),
            file=record.path,
        )
    )


def from_hub(record: InputRecord, source: HubSource) -> Finding:
    how = (
        f"revision={record.revision!r} where it is loaded asks for the same again"
        if source.exact
        else f"{record.revision!r} is no commit: name one where it is loaded"
    )
    return _with_waiver(
        Finding(
            id=f"undeclared-input:{source.repository}@{source.revision}",
            severity="may_change_bits",
            message=(
                f"{source.repository}: revision {source.revision} was read ({record.files} files in {record.path}) "
                f"and not declared; {how}. Declare it: repro_hydra.dataset({record.path!r})"
            ),
            file=record.path,
        )
    )


def from_run(record: InputRecord) -> Finding:
    return Finding(
        id=f"input-of-a-run:{record.path}",
        severity="harmless",
        message=f"{record.path}: was read; it lies in the directory of another run, and its digest is recorded",
        file=record.path,
    )


def from_the_network(answer: Answer) -> Finding:
    version = f"version {answer.version}" if answer.version else "no version given"
    return _with_waiver(
        Finding(
            id=f"undeclared-input:{answer.url}",
            severity="may_change_bits",
            message=(
                f"{answer.url}: was fetched by the job ({version}); it may be another one tomorrow. Fetch it once, "
                "and declare the file: repro-hydra data add FILE, then repro_hydra.dataset('FILE') in the task"
            ),
        )
    )


def from_the_system(source: str) -> Finding:
    return Finding(
        id=f"system-entropy:{source}",
        severity="may_change_bits",
        message=(
            f"{source}: was read, which has another content in each run. Expected a value that follows from the seed: "
            "use repro_hydra.rng(name), or waive it where no result depends on it"
        ),
    )


def altered(path: str) -> Finding:
    return Finding(
        id=f"code-altered-by-git:{path}",
        severity="may_change_bits",
        message=(
            f"{path}: was read, and comes out of the snapshot otherwise than it lay there: a filter of git, or its "
            "conversion of line ends, does not give back what it takes. Leave the file out in .gitattributes: "
            f"{path} -filter -text"
        ),
        file=path,
    )


def changed(path: str, since: str) -> Finding:
    return Finding(
        id=f"data-changed-meanwhile:{path}",
        severity="may_change_bits",
        message=f"{path}: was read, and changed {since}. The run may have read either: run it again",
        file=path,
    )


def more(count: int) -> Finding:
    return Finding(
        id="undeclared-input:and-more",
        severity="may_change_bits",
        message=f"{count} more undeclared inputs are not listed here. Declare the folders that hold them",
    )


def not_watched(reason: str) -> Finding:
    return Finding(
        id="inputs-not-watched",
        severity="may_change_bits",
        message=f"what the job reads could not be watched throughout ({reason})",
    )


def _with_waiver(finding: Finding) -> Finding:
    return msgspec.structs.replace(
        finding, message=f"{finding.message}; or waive it: {how_to_waive(finding)}"
    )
