"""`verify`: is the record whole, is its code to be had, is its data unchanged, does this environment match."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from repro_hydra.code.facts import Location
from repro_hydra.environment import capture_environment, list_distributions
from repro_hydra.environment.circumstances import differing_environments
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.manifest import digest_bytes
from repro_hydra.record.paths import RECORD_DIR
from repro_hydra.record.places import project_of
from repro_hydra.record.reproduction import Verification, VerifyFinding
from repro_hydra.record.store import RecordError, encodable
from repro_hydra.record.vouch import results_changed, user_key
from repro_hydra.reproduce.code_source import CodeMissing, find_code, find_one, repositories
from repro_hydra.reproduce.inputs import changed_datasets, changed_inputs
from repro_hydra.reproduce.inside import LeadsOut, read_inside
from repro_hydra.reproduce.original import Original, read_original
from repro_hydra.reproduce.trust import changed_since_manifest, trust_in

MANIFEST = f"{RECORD_DIR}/manifest.json"
_AFTER_THE_MANIFEST = (MANIFEST, f"{RECORD_DIR}/reproduction.json")


class Surroundings:
    """What many runs are verified against, found out once."""

    def __init__(self, here: Path | None = None, environ: Mapping[str, str] | None = None) -> None:
        self.here = Path.cwd() if here is None else here
        self.environ = dict(os.environ) if environ is None else dict(environ)
        self.installed = list_distributions()
        self.environment: EnvironmentRecord = capture_environment(
            environ=self.environ, distributions=self.installed
        )
        self._located: dict[Path, list[Location]] = {}

    def repositories(self, folders: Sequence[Path]) -> list[Location]:
        """The work trees that `folders` lie in, each once; git is asked once a work tree, not once a run."""
        found: dict[Path, Location] = {}
        for folder in folders:
            top = project_of(folder)
            if top not in self._located:
                self._located[top] = repositories([folder], self.environ)
            found |= {location.top: location for location in self._located[top]}
        return list(found.values())


def verify_run(
    run_dir: Path, *, manifest: str | None = None, surroundings: Surroundings | None = None
) -> Verification:
    """Everything about one run that is not, or cannot be shown to be, as it was recorded.

    Parameters
    ----------
    manifest : str, optional
        The manifest's digest as it was kept elsewhere (with or without ``blake3:``).
    """
    found: list[VerifyFinding] = []
    try:
        original = read_original(run_dir)
    except RecordError as error:
        found.append(VerifyFinding(area="record", severity="blocks", message=str(error)))
        return Verification(ok=False, findings=found)
    surroundings = surroundings or Surroundings()
    found += _record(original, manifest, surroundings.environ)
    found += _code(original, surroundings)
    found += _data(original, surroundings)
    found += _environment(original, surroundings)
    return Verification(ok=all(item.severity == "harmless" for item in found), findings=found)


def _finding(area: str, severity: str, message: str) -> VerifyFinding:
    assert severity in ("blocks", "may_change_bits", "harmless")
    return VerifyFinding(area=area, severity=severity, message=message)  # type: ignore[arg-type]


def _record(original: Original, manifest: str | None, environ: Mapping[str, str]) -> Iterator[VerifyFinding]:
    for problem in original.problems:
        yield _finding("record", "blocks", problem)
    yield from _manifest_digest(original, manifest)
    if original.manifest is None:
        yield _finding(
            "record",
            "blocks",
            f"{MANIFEST}: none that can be read, so nobody can tell whether anything changed",
        )
        return
    changed = changed_since_manifest(original)
    for what in changed:
        yield _finding("record", "blocks", f"{what} since the manifest was made")
    if not changed:
        changed = results_changed(original.paths, user_key(environ))
        for name in changed:
            yield _finding(
                "record",
                "blocks",
                f"{RECORD_DIR}/{name}: is not what this user's run left there, and fits the manifest: both were "
                "written after the run had ended",
            )
    for name in _unlisted(original):
        yield _finding("record", "harmless", f"{name}: not in the manifest; it came after the run's end")
    for name, reason in original.manifest.left_out.items():
        yield _finding("record", "harmless", f"{name}: was never digested ({reason})")
    if not changed and not original.problems:
        yield _finding("record", "harmless", "unchanged since its manifest; not signed")


def _manifest_digest(original: Original, expected: str | None) -> Iterator[VerifyFinding]:
    if expected is None:
        return
    wanted = expected.removeprefix("blake3:").lower()
    try:
        data = read_inside(original.dir, MANIFEST)
    except (LeadsOut, OSError):
        data = None
    found = None if data is None else digest_bytes(data)
    if found is None or len(wanted) < 8 or not found.startswith(wanted):
        yield _finding("record", "blocks", f"{MANIFEST}: expected blake3:{wanted}, found blake3:{found}")


def _unlisted(original: Original) -> list[str]:
    assert original.manifest is not None
    listed = {entry.path for entry in original.manifest.files} | {
        *original.manifest.left_out,
        *_AFTER_THE_MANIFEST,
    }
    found = []
    for folder, folders, names in os.walk(original.dir):
        here = Path(folder)
        nested = here not in (original.dir, original.paths.record) and (here / RECORD_DIR).is_dir()
        folders[:] = [] if nested else sorted(name for name in folders if name != original.paths.earlier.name)
        if not nested:
            found += [(here / name).relative_to(original.dir).as_posix() for name in sorted(names)]
    return [name for name in map(encodable, found) if name not in listed]


def _code(original: Original, surroundings: Surroundings) -> Iterator[VerifyFinding]:
    near = surroundings.repositories([surroundings.here, original.dir])
    code = original.code
    others = [] if code is None else code.others
    if trust_in(original, near, surroundings.environ).own and code is not None:
        known = {location.top for location in near}
        named = [Path(one.repository) for one in (code, *others) if one.repository is not None]
        more = surroundings.repositories(named)
        near = [*near, *(location for location in more if location.top not in known)]
    try:
        source = find_code(original, near, surroundings.environ)
    except CodeMissing as error:
        yield _finding("code", "blocks", str(error).removeprefix("code: "))
        return
    yield _finding("code", "harmless", f"can be had: {source.shown()}")
    for other in others:
        what = ", ".join(other.imported_by)
        try:
            source = find_one(other, original.code_files, near, surroundings.environ)
        except CodeMissing as error:
            yield _finding("code", "blocks", f"{what}: {str(error).removeprefix('code: ')}")
        else:
            yield _finding("code", "harmless", f"{what}: can be had: {source.shown()}")
    for path, reason in {} if code is None else code.not_captured.items():
        yield _finding("code", "may_change_bits", f"{path}: was never captured ({reason})")


def _data(original: Original, surroundings: Surroundings) -> Iterator[VerifyFinding]:
    if original.data is None:
        yield _finding("data", "harmless", "the record names no dataset, so none can be verified")
        return
    base = Path(original.run.cwd) if original.run.cwd else surroundings.here
    base = base if base.is_dir() else surroundings.here
    for problem in changed_datasets(original, base):
        yield _finding("data", "blocks", problem.removeprefix("data: "))
    for problem in changed_inputs(original, base):
        yield _finding("data", "may_change_bits", problem)


def _environment(original: Original, surroundings: Surroundings) -> Iterator[VerifyFinding]:
    if original.environment is None:
        yield _finding("environment", "blocks", "environment.json: none that can be read")
        return
    if original.distributions is None:
        yield _finding(
            "environment",
            "may_change_bits",
            "the list of packages is not here (a job's lies beside its sweep)",
        )
    for item in differing_environments(
        original.environment, surroundings.environment, original.distributions, surroundings.installed
    ):
        if item.area == "determinism":
            continue  # variables of the process: a reproduction sets them
        severity = item.severity
        if item.key.startswith("packages.") and item.b is None:
            severity = "blocks"
        found = "nothing" if item.b is None else item.b
        yield _finding(item.area, severity, f"{item.key}: recorded {item.a}, found {found}" + _mend(item.key))


def _mend(key: str) -> str:
    return ". Run: repro-hydra reproduce RUN --env rebuild" if key.startswith("packages.") else ""
