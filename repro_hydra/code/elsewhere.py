"""Code of other repositories that a run may import: submodules, editable installs, entries of ``PYTHONPATH``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from repro_hydra.code.facts import NoRepositoryError, locate
from repro_hydra.code.findings import folder_in_no_repository
from repro_hydra.code.git import Git, GitError, GitUnavailableError
from repro_hydra.code.state import CodeState
from repro_hydra.record.schema import Finding

Look = Callable[[Path], CodeState]
SUBMODULE = "submodule "


def look_elsewhere(
    state: CodeState, start: Path, imported: Mapping[Path, str], look: Look, environ: Mapping[str, str]
) -> CodeState:
    """`state` with the other repositories, each with a snapshot and a patch of its own.

    Parameters
    ----------
    start : Path
        The file or folder whose repository `state` tells of.
    imported : mapping
        Folders that modules are imported from, with what leads there.
    look : callable
        Inspects the repository around a folder.
    """
    leading: dict[Path, list[str]] = {}
    folders: dict[Path, list[str]] = {}
    findings: list[Finding] = []
    submodules = _submodules_to_keep(state, environ)
    for folder, path in submodules.items():
        leading[folder] = [SUBMODULE + path]
    for folder, why in imported.items():
        # Most often it is the folder of the script, at the top of the repository that was looked at: no new question.
        top = state.top if os.path.realpath(folder) == str(state.top) else _top_of(folder, environ)
        if top is None:
            if _has_modules(folder) and not (state.top is None and _share_a_repository(folder, start)):
                findings.append(folder_in_no_repository(folder, why))
        elif top != state.top and not _is_submodule_of(top, state):
            leading.setdefault(top, []).append(why)
            folders.setdefault(top, []).append(Path(os.path.realpath(folder)).relative_to(top).as_posix())
    others: list[CodeState] = []
    for top, reasons in leading.items():
        other = look(top)
        for one in (other, *other.others):
            mark = reasons if one is other else one.record.imported_by
            others.append(_marked(one, mark, folders.get(top, []) if one is other else [], top))
    found = [finding for other in others for finding in other.findings]
    return CodeState(
        record=state.record,
        patch=state.patch,
        findings=(*state.findings, *findings, *found),
        top=state.top,
        base_tree=state.base_tree,
        pack=state.pack,
        epoch_s=state.epoch_s,
        others=tuple(others),
    )


def _marked(state: CodeState, imported_by: list[str], folders: list[str], top: Path) -> CodeState:
    """Its findings named by absolute paths: another repository may have a file of the same name."""
    own = state.top or top
    named = []
    for finding in state.findings:
        kind, _, subject = finding.id.partition(":")
        place = os.path.join(own, subject) if subject else str(own)  # noqa: PTH118 (an absolute subject stays)
        message = finding.message.replace("code: ", f"code: {own}: ", 1)
        named.append(msgspec.structs.replace(finding, id=f"{kind}:{place}", message=message, file=place))
    record = msgspec.structs.replace(state.record, imported_by=imported_by, import_folders=folders)
    return CodeState(
        record, state.patch, tuple(named), state.top, state.base_tree, state.pack, state.epoch_s, ()
    )


def _submodules_to_keep(state: CodeState, environ: Mapping[str, str]) -> dict[Path, str]:
    """Those with changes of their own, and those whose commit no remote has: the rest can be had again."""
    kept: dict[Path, str] = {}
    for module in state.record.submodules:
        if state.top is None or module.dirty is None:
            continue
        folder = state.top / module.path
        if module.dirty or not _on_remote(folder, module.commit, environ):
            kept[folder] = module.path
    return kept


def _on_remote(folder: Path, commit: str, environ: Mapping[str, str]) -> bool:
    git = Git(folder, environ)
    try:
        status, ahead, _ = git.ask("rev-list", "--max-count=1", commit, "--not", "--remotes")
    except GitUnavailableError:
        return False
    return status == 0 and not ahead.strip()


def _top_of(folder: Path, environ: Mapping[str, str]) -> Path | None:
    try:
        return locate(folder, environ).top
    except (NoRepositoryError, GitError, GitUnavailableError):
        return None


def _share_a_repository(folder: Path, start: Path) -> bool:
    """Whether a repository made around the one is around the other too: that there is none was said once."""
    one, other = Path(os.path.realpath(folder)), Path(os.path.realpath(start))
    home = other if other.is_dir() else other.parent
    return one.is_relative_to(home) or home.is_relative_to(one)


def _is_submodule_of(top: Path, state: CodeState) -> bool:
    return state.top is not None and any(state.top / module.path == top for module in state.record.submodules)


def _has_modules(folder: Path) -> bool:
    """Whether something can be imported from there that no installer put there (``pip install --target``)."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 (names only)
    except OSError:
        return False
    if any(name.endswith(".dist-info") for name in names):
        return False  # the environment's record has these
    return any(name.endswith((".py", ".so")) or (folder / name / "__init__.py").is_file() for name in names)
