"""What ``repro-hydra env`` does, once its options are read."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from repro_hydra.cli.errors import NO, UserError
from repro_hydra.cli.output import default_roots, print_json
from repro_hydra.config import DeterminismConf
from repro_hydra.determinism import required_variables
from repro_hydra.environment import capture_environment
from repro_hydra.environment.artifacts import IndexUnavailable, find_artifacts
from repro_hydra.environment.exports import FILE_NAMES, FORMATS, CannotExport, Export, Subject, render
from repro_hydra.environment.exports.conda import CondaPackages, conda_packages
from repro_hydra.environment.exports.subject import MADE_BY
from repro_hydra.environment.locked import locked_differences, remedy
from repro_hydra.environment.pins import pins_of
from repro_hydra.record.environment import EnvironmentRecord
from repro_hydra.record.find import resolve
from repro_hydra.record.lock import LOCK_NAME, Artifact, EnvironmentLock, read_lock, write_lock
from repro_hydra.record.paths import RunPaths
from repro_hydra.record.places import project_of
from repro_hydra.record.store import write_bytes
from repro_hydra.record.times import utc_now
from repro_hydra.sweep.table import clean

if TYPE_CHECKING:
    from repro_hydra.reproduce.original import Original

_ASKED_FOR = ("numpy", "torch")
"""Imported before the environment is looked at, where they are installed: BLAS, CUDA and the instruction set in use
are known only then."""
_MARKS = {"blocks": "NO", "may_change_bits": "??", "harmless": "  "}


def snapshot(output: Path | None, *, online: bool) -> None:
    """The command."""
    path = _lock_path(output)
    lock = _lock_of_this_environment(online=online)
    _write_lock(path, lock)
    count = len(lock.environment.distributions or [])
    print(f"{path}: {count} packages, {_hash_words(lock)}")
    if path.absolute() != _lock_path(None):
        print(f"To hold a run against it: hydra.callbacks.repro.environment.lock={path}")
        return
    print(
        f"Runs started in {project_of(Path.cwd())} are held against {LOCK_NAME} there. Next: repro-hydra env verify"
    )


def verify(file: Path | None, *, json: bool) -> None:
    """The command."""
    path = _lock_path(file)
    if path.is_dir() and RunPaths(path).environment.is_file():  # a run is held against what it recorded
        path = RunPaths(path).environment
    if not path.is_file():
        raise UserError(f"{path}: expected a lock, found none. Make one: repro-hydra env snapshot -o {path}")
    lock = read_lock(path)
    here = _this_environment()
    findings = locked_differences(lock, here, here.distributions)
    ok = all(item.severity == "harmless" for item in findings)
    if json:
        listed = [
            {"id": item.id, "severity": item.severity, "message": item.message, "remedy": remedy(item, path)}
            for item in findings
        ]
        print_json({"ok": ok, "findings": listed})
    else:
        for item in findings:
            print(clean(f"{_MARKS[item.severity]} {item.message}"))
        for text in dict.fromkeys(remedy(item, path) for item in findings if item.severity != "harmless"):
            print(f"   {text}")
        same = (
            "the same"
            if not findings
            else f"{len(findings)} differences"
            if len(findings) > 1
            else "1 difference"
        )
        print(f"{'ok' if ok else 'NO'}: this environment and {path}: {same}")
    if not ok:
        raise SystemExit(NO)


def export(
    form: str,
    output: Path | None,
    *,
    source: str | None,
    online: bool,
    base_image: str | None,
    command: str | None,
    requirements: str,
) -> None:
    """The command."""
    if form not in FORMATS:
        raise UserError(f"--format: expected one of {', '.join(FORMATS)}, found {form!r}")
    original: Original | None = None
    if source is None:
        lock = _lock_of_this_environment(online=online)
    else:
        if online:
            raise UserError("--online asks the index about this environment: leave out --from, or --online")
        lock, original = _lock_from(source)
    shown = tuple(shlex.split(command)) if command is not None else _command_of(original)
    subject = _subject(
        lock, base_image=base_image, command=shown, requirements=requirements, live=source is None
    )
    exported = _render(form, subject)
    if output is None:
        sys.stdout.write(exported.text)
    else:
        _write(output, exported.text)
        print(f"{output}: {_contents(subject)}", file=sys.stderr)
    _tell(exported)
    if exported.incomplete:
        raise SystemExit(NO)


def setup(folder: Path, *, online: bool, base_image: str | None, command: str | None, force: bool) -> None:
    """The command."""
    project = project_of(Path.cwd())
    target = project / folder
    if not Path(os.path.realpath(target)).is_relative_to(os.path.realpath(project)):
        raise UserError(
            f"--folder: expected one in {project}, found {folder}: a Dockerfile copies from there only"
        )
    lock_path = project / LOCK_NAME
    _refuse_to_replace([target / name for name in FILE_NAMES.values()], force=force)
    lock = _lock_of_this_environment(online=online)
    target.mkdir(parents=True, exist_ok=True)
    _write_lock(lock_path, lock)
    print(f"{lock_path}: {len(lock.environment.distributions or [])} packages, {_hash_words(lock)}")
    inside = (folder / FILE_NAMES["requirements"]).as_posix()
    shown = tuple(shlex.split(command)) if command is not None else ()
    subject = _subject(lock, base_image=base_image, command=shown, requirements=inside, live=True)
    notes: dict[str, None] = {}
    left_out = []
    for form in FORMATS:
        path = target / FILE_NAMES[form]
        try:
            exported = render(form, subject)
        except CannotExport as error:
            left_out.append(str(error))
            continue
        _write(path, exported.text)
        print(path)
        notes |= dict.fromkeys(exported.notes)
    for note in notes:
        print(clean(f"note: {note}"), file=sys.stderr)
    for reason in left_out:
        print(
            clean(f"not written: {reason.replace('env export --format pylock', 'env setup')}"),
            file=sys.stderr,
        )
    print(
        f"Next: commit them; python train.py +repro=strict refuses to run on other packages from now on. After each "
        f"change of the environment: repro-hydra env setup. Elsewhere: pip install --no-deps -r {inside}, then "
        "repro-hydra env verify"
    )


def _this_environment() -> EnvironmentRecord:
    for name in _ASKED_FOR:
        if importlib.util.find_spec(name) is not None:
            with suppress(Exception):  # a library that cannot be imported is a fact of this environment, too
                import_module(name)
    return capture_environment(environ=os.environ)


def _lock_of_this_environment(*, online: bool) -> EnvironmentLock:
    environment = _this_environment()
    distributions = environment.distributions
    if distributions is None:
        raise UserError(f"the packages cannot be listed: {environment.unknown.get('distributions')}", NO)
    artifacts: dict[str, list[Artifact]] = {}
    without: dict[str, str] = {}
    if online:
        pins = pins_of(distributions, project=project_of(Path.cwd())).pins
        print(f"asking the index for {len(pins)} packages…", file=sys.stderr)
        try:
            artifacts, without = find_artifacts(pins, distributions, os.environ)
        except IndexUnavailable as error:
            raise UserError(f"--online: the index gives no answer: {error}", NO) from None
    return EnvironmentLock(
        made_at=utc_now(), environment=environment, artifacts=artifacts, without_artifacts=without
    )


def _lock_from(source: str) -> tuple[EnvironmentLock, Original | None]:
    path = Path(source)
    if path.is_file():
        return read_lock(path), None
    from repro_hydra.reproduce.original import read_original  # brings hydra's config library

    original = read_original(Path(resolve(source, default_roots()).dir))
    if original.environment is None:
        raise UserError(f"{source}: the record holds no environment.json that can be read", NO)
    environment = original.environment
    if environment.distributions is None:
        import msgspec

        environment = msgspec.structs.replace(environment, distributions=original.distributions)
    return EnvironmentLock(made_at="", environment=environment), original


def _command_of(original: Original | None) -> tuple[str, ...]:
    if original is None:
        return ()
    from repro_hydra.reproduce.command import command_of

    command = command_of(original, os.environ)
    program = (command.console_script,) if command.console_script else ("python", *command.program)
    return (*program, *command.arguments) if len(program) > 1 or command.console_script else ()


def _subject(
    lock: EnvironmentLock, *, base_image: str | None, command: tuple[str, ...], requirements: str, live: bool
) -> Subject:
    project = project_of(Path.cwd())
    if lock.environment.distributions is None:
        raise UserError("the list of packages is not there, so there is nothing to export", NO)
    by_conda = conda_packages(Path(sys.prefix)) if live else CondaPackages()
    return Subject(
        environment=lock.environment,
        pins=pins_of(lock.environment.distributions, artifacts=lock.artifacts, project=project),
        project=project,
        base_image=base_image,
        requirements=requirements,
        command=command,
        variables=required_variables(DeterminismConf(), {}),
        conda_packages=by_conda.specs,
        conda_channels=by_conda.channels,
        conda_left_out=by_conda.left_out,
    )


def _render(form: str, subject: Subject) -> Export:
    try:
        return render(form, subject)
    except CannotExport as error:
        raise UserError(str(error), NO) from None


def _lock_path(given: Path | None) -> Path:
    return given if given is not None else project_of(Path.cwd()) / LOCK_NAME


def _write_lock(path: Path, lock: EnvironmentLock) -> None:
    try:
        write_lock(path, lock)
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})", NO) from None


def _write(path: Path, text: str) -> None:
    if path.is_dir():
        raise UserError(f"{path}: expected the name of a file, found a folder")
    try:
        write_bytes(path, text.encode())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})", NO) from None


def _refuse_to_replace(paths: list[Path], *, force: bool) -> None:
    def is_ours(path: Path) -> bool:
        with path.open("rb") as stream:
            return MADE_BY.encode() in stream.read(400).lower()

    foreign = [str(path) for path in paths if path.exists() and not (path.is_file() and is_ours(path))]
    if foreign and not force:
        raise UserError(
            f"{', '.join(foreign)}: expected no such file, or one that this command wrote. Name another --folder, or "
            "replace it with --force",
            NO,
        )


def _hash_words(lock: EnvironmentLock) -> str:
    if not lock.artifacts:
        return "without the hashes of their files (--online asks the index for them)"
    lacking = f"; none for {', '.join(sorted(lock.without_artifacts))}" if lock.without_artifacts else ""
    return f"files and hashes of {len(lock.artifacts)} from the index{lacking}"


def _contents(subject: Subject) -> str:
    return f"{len(subject.pins.installed)} packages"


def _tell(exported: Export) -> None:
    for note in exported.notes:
        print(clean(f"note: {note}"), file=sys.stderr)
