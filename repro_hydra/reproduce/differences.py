"""`compare`: everything in which runs differ, ranked by how likely it explains a differing result.

The weights say what comes first where several things differ: a seed before code, code before config, then data,
threads and settings, the instruction set, numeric packages, other packages, variables; results last, since they are
what is to be explained.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from repro_hydra.environment.circumstances import Circumstance, differing_environments
from repro_hydra.record.manifest import digest_bytes
from repro_hydra.record.reproduction import Area, ComparedRun, Comparison, Difference
from repro_hydra.record.values import from_json_number, to_json
from repro_hydra.reproduce.circumstances import differing_settings
from repro_hydra.reproduce.code_diff import code_diffs
from repro_hydra.reproduce.fingerprints import compared_fingerprints
from repro_hydra.reproduce.original import Original
from repro_hydra.reproduce.outputs import own_files
from repro_hydra.reproduce.results import equal_bits
from repro_hydra.session.recorded import keys_new_each_run, leaves

AREAS: tuple[Area, ...] = (
    "config", "code", "environment", "hardware", "data", "determinism", "seed", "metrics", "files",
)  # fmt: skip
_SEED, _CODE, _CONFIG, _DATA, _DETERMINISM, _ENVIRONMENT = 1, 5, 8, 12, 19, 40
_TIME_OF_START = 65
_STATUS, _FINGERPRINT, _METRIC, _FILE = 90, 91, 92, 95
_ABSENT = "(absent)"
_DIFF_FILE = re.compile(rb"^diff --git a/(.*) b/(.*)$", re.MULTILINE)


def compare_runs(originals: Sequence[Original], only: Iterable[str] = ()) -> Comparison:
    """The differences between the first run and each of the others.

    With more than two runs a key that several of them differ in stands once for each.
    """
    wanted = set(only)
    found: list[tuple[Circumstance, Original]] = []
    for other in originals[1:]:
        differ = differing(originals[0], other)
        found += [(item, other) for item in differ if not wanted or item.area in wanted]
    found.sort(key=lambda item: (item[0].weight, item[0].area, item[0].key))
    differences = [
        msgspec.structs.replace(difference_of(item, rank), run=str(other.dir))
        for rank, (item, other) in enumerate(found, start=1)
    ]
    code = code_diffs(originals) if not wanted or "code" in wanted else []
    return Comparison(
        same=not differences,
        differences=differences,
        runs=[_shown(original) for original in originals],
        code_diffs=code,
    )


def _shown(original: Original) -> ComparedRun:
    run = original.run
    return ComparedRun(
        dir=str(original.dir),
        run_id=run.run_id,
        status=run.status,
        seed=run.seed,
        started_at=run.started_at,
        duration_s=run.duration_s,
        peak_memory_bytes=run.peak_memory_bytes,
    )


def difference_of(item: Circumstance, rank: int) -> Difference:
    """As `compare` tells it: of two numbers with how far they lie apart."""
    a, b = from_json_number(item.a), from_json_number(item.b)
    abs_diff = rel_diff = None
    if a is not None and b is not None:
        abs_diff = abs(a - b)
        rel_diff = abs_diff / abs(a) if a else (0.0 if abs_diff == 0 else None)
    return Difference(
        area=item.area,
        key=item.key,
        a=item.a,
        b=item.b,
        abs_diff=to_json(abs_diff),
        rel_diff=to_json(rel_diff),
        rank=rank,
    )


def differing(a: Original, b: Original) -> Iterator[Circumstance]:
    """Everything in which two runs differ, but for what no two runs share: ids, times, directories."""
    yield from circumstances(a, b)
    yield from _recorded_by_one(a, b)
    yield from _outcomes(a, b)


def circumstances(a: Original, b: Original) -> Iterator[Circumstance]:
    """What went into the runs."""
    yield from _seeds(a, b)
    yield from _code(a, b)
    yield from _config(a, b)
    yield from _data(a, b)
    yield from differing_settings(a.determinism, b.determinism)
    if a.environment is not None and b.environment is not None:
        yield from differing_environments(a.environment, b.environment, a.distributions, b.distributions)


def _recorded_by_one(a: Original, b: Original) -> Iterator[Circumstance]:
    """What one record has and the other has not, or damaged: it was not compared, so it is not the same."""
    parts: tuple[tuple[Area, int, object, object], ...] = (
        ("config", _CONFIG, a.config, b.config),
        ("environment", _ENVIRONMENT, a.environment, b.environment),
        ("data", _DATA, a.data, b.data),
        ("determinism", _DETERMINISM, a.determinism, b.determinism),
        ("files", _FILE, a.manifest, b.manifest),
    )
    for area, weight, one, other in parts:
        if (one is None) != (other is None):
            yield Circumstance(area, "recorded", one is not None, other is not None, "blocks", weight)


def _seeds(a: Original, b: Original) -> Iterator[Circumstance]:
    if a.run.seed != b.run.seed:
        yield Circumstance("seed", "seed", a.run.seed, b.run.seed, "may_change_bits", _SEED)
    if a.run.seed_set != b.run.seed_set:
        yield Circumstance("seed", "seed_set", a.run.seed_set, b.run.seed_set, "may_change_bits", _SEED)
    for name in sorted({*a.run.seeds} & {*b.run.seeds}):
        one, other = a.run.seeds[name], b.run.seeds[name]
        if one != other and one is not None and other is not None:
            yield Circumstance("seed", f"seeds.{name}", one, other, "may_change_bits", _SEED + 1)
    if a.run.mode != b.run.mode:
        yield Circumstance("determinism", "mode", a.run.mode, b.run.mode, "may_change_bits", _DETERMINISM)


def _code(a: Original, b: Original) -> Iterator[Circumstance]:
    one, other = a.code, b.code
    if one is None or other is None:
        if (one is None) != (other is None):
            yield Circumstance("code", "recorded", one is not None, other is not None, "blocks", _CODE)
        return
    if one.tree != other.tree:
        yield Circumstance("code", "tree", one.tree, other.tree, "may_change_bits", _CODE)
        if one.commit != other.commit:
            yield Circumstance("code", "commit", one.commit, other.commit, "may_change_bits", _CODE + 1)
        before, after = _patched(a.patch), _patched(b.patch)
        for path in sorted({*before, *after}):
            if before.get(path) != after.get(path):
                yield Circumstance(
                    "code",
                    f"changed.{path}",
                    before.get(path, "as committed"),
                    after.get(path, "as committed"),
                    "may_change_bits",
                    _CODE + 1,
                )
    modules_a = {module.path: module.commit for module in one.submodules}
    modules_b = {module.path: module.commit for module in other.submodules}
    for path in sorted({*modules_a, *modules_b}):
        if modules_a.get(path) != modules_b.get(path):
            yield Circumstance(
                "code",
                f"submodule.{path}",
                modules_a.get(path),
                modules_b.get(path),
                "may_change_bits",
                _CODE + 1,
            )


def _patched(patch: bytes | None) -> dict[str, str]:
    """Each file of a patch and a digest of what the patch does to it."""
    starts = list(_DIFF_FILE.finditer(patch or b""))
    ends = [*(match.start() for match in starts[1:]), *([len(patch or b"")] if starts else [])]
    return {
        match[2].decode("utf-8", "backslashreplace"): digest_bytes((patch or b"")[match.start() : end])[:12]
        for match, end in zip(starts, ends, strict=True)
    }


def _config(a: Original, b: Original) -> Iterator[Circumstance]:
    if a.config is None or b.config is None:
        return
    passing = keys_new_each_run(a.config.unresolved) | keys_new_each_run(b.config.unresolved)
    before, after = dict(leaves(a.config.resolved)), dict(leaves(b.config.resolved))
    own_key, written = seed_key(a), dict(leaves(a.config.unresolved))
    for key in dict.fromkeys([*before, *after]):
        one, other = before.get(key, _ABSENT), after.get(key, _ABSENT)
        if key in passing or key == own_key or equal_bits(one, other):
            continue
        time_of_start = "${now:" in str(written.get(key, ""))
        yield Circumstance(
            "config", key, one, other, "may_change_bits", _TIME_OF_START if time_of_start else _CONFIG
        )


def seed_key(original: Original) -> str:
    """Where the run's config holds its seed."""
    try:
        return "seed" if original.config is None else str(original.config.repro["seed"]["key"])
    except (TypeError, KeyError):
        return "seed"


def _data(a: Original, b: Original) -> Iterator[Circumstance]:
    if a.data is None or b.data is None:
        return
    before = {item.name: item.digest for item in a.data.datasets}
    after = {item.name: item.digest for item in b.data.datasets}
    inputs_a = {item.path: item.digest for item in a.data.inputs}
    inputs_b = {item.path: item.digest for item in b.data.inputs}
    for one, other in ((before, after), (inputs_a, inputs_b)):
        for name in sorted({*one, *other}):
            if one.get(name) != other.get(name):
                yield Circumstance("data", name, one.get(name), other.get(name), "may_change_bits", _DATA)


def _outcomes(a: Original, b: Original) -> Iterator[Circumstance]:
    if a.run.status != b.run.status:
        yield Circumstance("metrics", "status", a.run.status, b.run.status, "may_change_bits", _STATUS)
    one, other = a.result or {}, b.result or {}
    for name in dict.fromkeys([*one, *other]):
        if not equal_bits(one.get(name, _ABSENT), other.get(name, _ABSENT)):
            yield Circumstance(
                "metrics",
                name,
                one.get(name, _ABSENT),
                other.get(name, _ABSENT),
                "may_change_bits",
                _METRIC,
            )
    cut_off = any(run.status not in ("completed", "failed") for run in (a.run, b.run))
    first = compared_fingerprints(a, b, unfinished=cut_off).first
    if first is not None:
        key = f"fingerprints, first at {first.detail}"
        digests = first.a or _ABSENT, first.b or _ABSENT
        yield Circumstance("metrics", key, *digests, "may_change_bits", _FINGERPRINT)
    if a.manifest is None or b.manifest is None:
        return
    before, after = own_files(a.manifest), own_files(b.manifest)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Circumstance("files", name, before.get(name), after.get(name), "may_change_bits", _FILE)
