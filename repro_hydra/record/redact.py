"""Secrets taken out of whatever is recorded: by the name of a value, by its form, and where its text is known.

A record is made to be published, so a password that stood in a config, a command line, a remote's URL or a
traceback must not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from repro_hydra.record.schema import JSON
from repro_hydra.record.secret_forms import find_secret as find_secret
from repro_hydra.record.secret_names import NOT_TEXT, SECRET_HOLDERS, is_value
from repro_hydra.record.secret_names import is_secret_name as is_secret_name
from repro_hydra.record.secret_text import PLACEHOLDER as PLACEHOLDER
from repro_hydra.record.secret_text import redact_text as redact_text
from repro_hydra.record.secret_text import redact_url as redact_url

_INNER_PAIR = re.compile(r"(?<![\w.-])(-*[A-Za-z_][\w.-]*)(\s*:\s*)([^\s,{}\[\]'\":][^,{}\[\]]*)")
"""A pair in a mapping of Hydra's override grammar: ``login={user: me, password: x}``."""


def redact_argv(argv: Sequence[str]) -> list[str]:
    """A command line whose names stand and whose secret values do not.

    Examples
    --------
    >>> redact_argv(["train.py", "+wandb.api_key=abc", "--token", "abc", "model.max_tokens=5"])
    ['train.py', '+wandb.api_key=[redacted]', '--token', '[redacted]', 'model.max_tokens=5']
    """
    result: list[str] = []
    name_before = ""  # of an option whose value is the next argument
    for argument in argv:
        if name_before and not argument.startswith("-") and _redacts_argument(name_before, argument):
            result.append(PLACEHOLDER)
            name_before = ""
            continue
        name, equals, value = argument.partition("=")
        name_before = name.lstrip("-") if name.startswith("-") and not equals else ""
        if equals and _redacts_argument(name.lstrip("+~-"), value):
            result.append(f"{name}={PLACEHOLDER}")
        elif value.startswith(("{", "[")):
            result.append(redact_text(f"{name}={_INNER_PAIR.sub(_inner_pair, value)}"))
        else:
            result.append(redact_text(argument))
    return result


def _inner_pair(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    if NOT_TEXT.match(value.strip()) or not (is_value(value) and is_secret_name(name, value)):
        return match.group()
    return f"{name}{between}{PLACEHOLDER}"


def _redacts_argument(name: str, value: str) -> bool:
    bare = value.strip("'\"")
    if not is_value(bare) or NOT_TEXT.match(bare) or value.startswith("{"):
        return False
    return is_secret_name(name.partition("@")[0], bare)


def redact(value: JSON, *, key: str | None = None) -> JSON:
    """`value` (mappings, lists and texts, nested) without secrets; what holds none is returned as it is.

    Parameters
    ----------
    key : str, optional
        What `value` is called where it comes from: a variable's name, a config key.

    Examples
    --------
    >>> redact({"model": {"max_tokens": 512}, "wandb": {"api_key": "abc", "project": "digits"}})
    {'model': {'max_tokens': 512}, 'wandb': {'api_key': '[redacted]', 'project': 'digits'}}
    """
    return _redact(value, key or "", False)


def _redact(value: JSON, key: str, below_holder: bool) -> JSON:
    if isinstance(value, str):
        if is_value(value) and (below_holder or (key and is_secret_name(key, value))):
            return PLACEHOLDER
        return redact_text(value)
    if isinstance(value, dict):
        inside = below_holder or key.rpartition(".")[2].lower() in SECRET_HOLDERS
        above = key.rpartition(".")[2]
        changed = {
            name: new
            for name, item in value.items()
            if (new := _redact(item, f"{above}.{name}" if above else str(name), inside)) is not item
        }
        return {**value, **changed} if changed else value
    if isinstance(value, list):
        items = [_redact(item, key, below_holder) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


_SHORTEST_KNOWN = 8


def known_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values of the environment's secret variables, which a config or a message may repeat under any name.

    A path (to a file that holds a secret) and what is too short to be told from other text are not among them.
    """
    found = {value for name, value in environ.items() if _can_be_found(value) and is_secret_name(name, value)}
    return tuple(sorted(found, key=len, reverse=True))


def _can_be_found(secret: str) -> bool:
    return len(secret) >= _SHORTEST_KNOWN and not secret.startswith(("/", "~")) and not NOT_TEXT.match(secret)


def secrets_in(value: JSON) -> tuple[str, ...]:
    """The texts in `value` that `redact` takes out by their names, and which a message may repeat.

    Examples
    --------
    >>> secrets_in({"wandb": {"api_key": "abcdefgh", "project": "digits"}, "api": {"key": "7"}})
    ('abcdefgh',)
    """
    found = {secret for secret in _named_secrets(value, "", False) if _can_be_found(secret)}
    return tuple(sorted(found, key=len, reverse=True))


def _named_secrets(value: JSON, key: str, below_holder: bool) -> Iterator[str]:
    above = key.rpartition(".")[2]
    if isinstance(value, str):
        if is_value(value) and (below_holder or (key and is_secret_name(key, value))):
            yield value
    elif isinstance(value, dict):
        inside = below_holder or above.lower() in SECRET_HOLDERS
        for name, item in value.items():
            yield from _named_secrets(item, f"{above}.{name}" if above else str(name), inside)
    elif isinstance(value, list):
        for item in value:
            yield from _named_secrets(item, key, below_holder)


def hide(value: JSON, known: Sequence[str]) -> JSON:
    """`value` with each of the texts in `known` replaced wherever it stands, keys included.

    Examples
    --------
    >>> hide({"login": "me:hunter2hunter2"}, ["hunter2hunter2"])
    {'login': 'me:[redacted]'}
    """
    if isinstance(value, str):
        for secret in known:
            value = value.replace(secret, PLACEHOLDER)
        return value
    if isinstance(value, dict):
        return {str(hide(name, known)): hide(item, known) for name, item in value.items()} if known else value
    if isinstance(value, list):
        return [hide(item, known) for item in value] if known else value
    return value
