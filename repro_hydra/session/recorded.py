"""Putting a recorded config in place of the one that Hydra has composed, when a run is reproduced.

The composed config keeps its types, so enums, paths and ``to_object`` hold; each value that differs from the
record gets the recorded one. What the record itself calls a function of the new run (``${hydra:…}``) stays as it
was composed, and so does what was redacted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import msgspec
from omegaconf import DictConfig, ListConfig, OmegaConf, flag_override
from omegaconf.errors import OmegaConfBaseException

from repro_hydra.record.redact import PLACEHOLDER, redact
from repro_hydra.record.schema import JSON
from repro_hydra.record.values import from_json_number, to_json
from repro_hydra.session.findings import Misuse
from repro_hydra.session.imported import no_longer_imported

VARIABLE = "REPRO_HYDRA_REPRODUCE"
"""Names the file that tells the process what to reproduce; taken out of the environment before the task runs."""

_NEW_EACH_RUN = re.compile(r"\$\{hydra:")
_REFERENCE = re.compile(r"\$\{([^{}:$]+)\}")
_ENVIRONMENT = re.compile(r"\$\{oc\.env:")
_NOTHING = object()


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """That a run that is made again is looked at more closely: fingerprints of every tensor, at every step."""

    trace: str | None = None
    """A file to write the operators into too, of these steps:"""
    optimizer_index: int = 0
    first_step: int = 0
    last_step: int = 0


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """What a process needs to be the reproduction of a run."""

    run_id: str
    """Of the original: the reproduction's `parent_run_id`."""
    run_dir: str
    """Where the reproduction writes."""
    resolved: JSON
    unresolved: JSON
    options: JSON = None
    """``hydra.callbacks.repro`` as the original had it."""
    job_num: int | None = None
    job_id: str | None = None
    secrets: dict[str, str] = {}
    """Dotted key to the environment variable that holds what the record must not."""
    replaced: list[str] = []
    """Work trees whose code the process has in scratch trees: nothing is imported from them as they are now."""
    scratch: str | None = None
    """The folder of the scratch trees, which may lie in one of those."""
    watch: Watch | None = None


def asked_for(environ: Mapping[str, str]) -> Recorded | None:
    """What this process was told to reproduce; None for a run of its own.

    Raises
    ------
    Misuse
        Where the file that the variable names is no such thing.
    """
    path = environ.get(VARIABLE)
    if not path:
        return None
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Recorded)
    except (OSError, msgspec.MsgspecError) as error:
        raise Misuse(
            f"{VARIABLE}={path}: expected what `repro-hydra reproduce` wrote, found {error}"
        ) from None


def take(environ: MutableMapping[str, str]) -> Recorded | None:
    """As `asked_for`, and once only: the task and its children see nothing of it."""
    found = asked_for(environ)
    environ.pop(VARIABLE, None)
    if found is not None:
        no_longer_imported(found.replaced, but=found.scratch)
    return found


def put_in_place(config: DictConfig, recorded: Recorded) -> None:
    """Give `config` the recorded values, in place.

    First what was written (literals and interpolations), then, where an interpolation gives another value than it
    did (``${now:}``, ``${oc.env:}``, a resolver of the user's), the value itself.
    """
    if not isinstance(recorded.resolved, dict) or not isinstance(recorded.unresolved, dict):
        return
    _write(config, recorded.unresolved, recorded.resolved)
    new_each_run = keys_new_each_run(recorded.unresolved)
    _fix(config, recorded.unresolved, recorded.resolved, "", new_each_run)
    for key, variable in recorded.secrets.items():
        if variable in os.environ:
            with flag_override(config, ["readonly", "struct"], False):
                OmegaConf.update(config, key, os.environ[variable], force_add=True)


# --- what was written ------------------------------------------------------------------------------------


def _write(node: Any, unresolved: JSON, resolved: JSON) -> None:
    pairs = _children(unresolved)
    if isinstance(node, DictConfig):
        for key in [key for key in node if str(key) not in dict(pairs)]:
            with flag_override(node, ["readonly", "struct"], False):
                node.pop(key)
    for key, written in pairs:
        own_key = _own_key(node, key)
        child, plain = _child(node, own_key)
        value = _item(resolved, key)
        if isinstance(written, (dict, list)) and _same_shape(child, written):
            _write(child, written, value)
        elif _as_recorded(plain, str(key)) != written and not _holds_placeholder(written):
            _set(node, own_key, _typed(written, plain))


def _fix(node: Any, unresolved: JSON, resolved: JSON, path: str, new_each_run: frozenset[str]) -> None:
    for key, written in _children(unresolved):
        here = f"{path}.{key}" if path else str(key)
        own_key = _own_key(node, key)
        value = _item(resolved, key)
        child, _ = _child(node, own_key)
        if isinstance(written, (dict, list)) and _same_shape(child, written):
            _fix(child, written, value, here, new_each_run)
        elif not (isinstance(written, str) and "${" in written) or here in new_each_run:
            continue
        elif value is not _NOTHING and value != written and not _holds_placeholder(value):
            found = _resolved(node, own_key)
            if _as_recorded(found, str(key)) != value:
                _set(node, own_key, _typed(value, found))


def _children(value: JSON) -> list[tuple[Any, JSON]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _item(value: JSON, key: Any) -> JSON:
    try:
        return value[key]
    except (KeyError, IndexError, TypeError):
        return _NOTHING


def _own_key(node: Any, key: Any) -> Any:
    """The key as the config has it: JSON's are all text."""
    if isinstance(node, DictConfig) and key not in node:
        return next((own for own in node if str(getattr(own, "name", own)) == key), key)
    return key


def _child(node: Any, key: Any) -> tuple[Any, Any]:
    """The child node, and what is written there as plain data."""
    try:
        child = node._get_node(key)
    except (OmegaConfBaseException, IndexError, KeyError, TypeError):
        return None, _NOTHING
    if child is None:
        return None, _NOTHING
    if OmegaConf.is_config(child):
        if child._is_none():
            return child, None
        if child._is_interpolation() or child._is_missing():
            return child, child._value()
        return child, OmegaConf.to_container(child, resolve=False, enum_to_str=True)
    return child, child._value()


def _same_shape(child: Any, written: JSON) -> bool:
    """Whether `written` can be gone through element by element, so that the child's own type stays."""
    if not isinstance(child, (DictConfig, ListConfig)) or child._is_none() or child._is_interpolation():
        return False
    if isinstance(written, dict):
        return isinstance(child, DictConfig) and not child._is_missing()
    return isinstance(child, ListConfig) and not child._is_missing() and len(child) == len(written)


def _as_recorded(value: Any, key: str) -> JSON:
    """`value` as the record writes it."""
    if value is _NOTHING:
        return _NOTHING
    if OmegaConf.is_config(value):
        try:
            value = OmegaConf.to_container(value, resolve=True, enum_to_str=True)
        except OmegaConfBaseException:
            return _NOTHING
    return redact(to_json(value), key=key)


def _resolved(node: Any, key: Any) -> Any:
    try:
        return node[key]
    except (OmegaConfBaseException, KeyError, IndexError):
        return _NOTHING


def _typed(value: JSON, like: Any) -> Any:
    """JSON has no NaN and no infinity; where the config had a float, their names are numbers."""
    if isinstance(like, float) and isinstance(value, str):
        number = from_json_number(value)
        return value if number is None else number
    return value


def _set(node: Any, key: Any, value: Any) -> None:
    try:
        with flag_override(node, ["readonly", "struct"], False):
            node[key] = value
    except OmegaConfBaseException as error:
        raise Misuse(
            f"{node._get_full_key(key)}: the recorded value {value!r} does not fit what the code expects there "
            f"({str(error).splitlines()[0]})"
        ) from None


def _holds_placeholder(value: JSON) -> bool:
    if isinstance(value, str):
        return PLACEHOLDER in value
    return any(_holds_placeholder(item) for _, item in _children(value))


# --- what may differ -------------------------------------------------------------------------------------


def keys_new_each_run(unresolved: JSON) -> frozenset[str]:
    """The keys whose value comes from ``${hydra:…}``, by whatever references."""
    written = {key: text for key, text in leaves(unresolved) if isinstance(text, str) and "${" in text}
    found = {key for key, text in written.items() if _NEW_EACH_RUN.search(text)}
    while True:
        more = {
            key
            for key, text in written.items()
            if key not in found and any(_meets(reference, found) for reference in _references(key, text))
        }
        if not more:
            return frozenset(found)
        found |= more


def keys_from_environment(unresolved: JSON) -> dict[str, str]:
    """The keys written with ``${oc.env:…}``, and how."""
    return {
        key: text for key, text in leaves(unresolved) if isinstance(text, str) and _ENVIRONMENT.search(text)
    }


def leaves(value: JSON, path: str = "") -> list[tuple[str, JSON]]:
    """Every value that is no container, by its dotted key."""
    children = _children(value)
    if not children:
        return [(path, value)] if path else []
    return [leaf for key, item in children for leaf in leaves(item, f"{path}.{key}" if path else str(key))]


def _references(key: str, text: str) -> list[str]:
    found = []
    for reference in _REFERENCE.findall(text):
        dots = len(reference) - len(reference.lstrip("."))
        name = re.sub(r"\[([^\]]+)\]", r".\1", reference[dots:])
        above = key.split(".")[: -dots or None] if dots else []
        found.append(".".join([*above, name]))
    return found


def _meets(reference: str, keys: set[str]) -> bool:
    return any(
        key == reference or key.startswith(f"{reference}.") or reference.startswith(f"{key}.") for key in keys
    )
