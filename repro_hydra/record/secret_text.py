"""Secrets taken out of a text that nobody structured: a traceback, a log line, a command's output, a URL."""

from __future__ import annotations

import re

from repro_hydra.record.secret_forms import FORMS
from repro_hydra.record.secret_names import NOT_TEXT, is_secret_name, is_value

PLACEHOLDER = "[redacted]"

_URL_CREDENTIALS = re.compile(r"\b([a-zA-Z][a-zA-Z0-9+.-]{0,30})://([^\s/?#'\"<>]+)@")
_URL_PARAMETER = re.compile(
    r"([?&](?:access_token|token|api_?key|sig|signature|x-amz-(?:signature|credential|security-token)|password"
    r"|client_secret|sas_token)=)([^&\s#'\"]+)",
    re.IGNORECASE,
)
_AUTHORIZATION = re.compile(
    r"(\bauthorization['\"]?\s*[:=]\s*['\"]?(?:bearer|basic|token)\s+)([^\s'\"]+)"
    r"|(\bbearer\s+)(?=[^\s0-9]*[0-9])([A-Za-z0-9._~+/-]{20,}=*)",
    re.IGNORECASE,
)
# The look-behinds let a name begin only where a word does: without them a long blob takes quadratic time.
_QUOTED_ASSIGNMENT = re.compile(
    r"(?<![\w.-])(-*[A-Za-z_][\w.-]*)(['\"]?\s*[:=]\s*)(['\"])((?:(?!\3)[^\n\\]|\\.)+)\3"
)
_ASSIGNMENT = re.compile(r"(?<![\w.-])(-*[A-Za-z_][\w.-]*)=(?![^\s'\"(),;&]*\()([^\s'\"(),;&]+)")
_ESCAPED_ASSIGNMENT = re.compile(
    r"(?<![\w.-])(-*[A-Za-z_][\w.-]*)(\\+['\"]\s{0,9}[:=]\s{0,9})(\\+['\"])([^\n\\]+)(?=\3)"
)
"""JSON within JSON, or within a program's repr of a text."""
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
"""``password = config.password``, a line of source."""
_SPACED_ASSIGNMENT = re.compile(
    r"(?<![\w.-])(-*[A-Za-z_][\w.-]*)([ \t]{0,9}:[ \t]{1,9}|[ \t]{1,9}=[ \t]{1,9})(?!['\"\[{])"
    r"(?![^\s'\"(),;&]*\()([^\s,{}\[\]()'\"]{6,})"
)
"""``password: x`` of YAML, ``X-Api-Key: x`` of a header, ``key = x`` of an ini file."""
_OPTION = re.compile(r"(?<![\w-])(--[A-Za-z][\w.-]*)(\s{1,9}|['\"]\s{0,9},\s{0,9}['\"])(?!-)([^\s'\",]{3,})")
"""``--api-key x`` in a text, or ``'--api-key', 'x'`` in the repr of a command line."""
_LOGIN = re.compile(
    r"(\bauth\s{0,9}=\s{0,9}\(\s{0,9}(?:'[^'\n]*'|\"[^\"\n]*\")\s{0,9},\s{0,9}['\"]|\blogin\s{1,9}\S+\s{1,9}password\s{1,9})"
    r"([^\s'\"]+)"
)
"""``auth=('me', 'x')`` of an HTTP client, ``login me password x`` of a netrc."""


def redact_text(text: str) -> str:
    """`text` without the secrets that show by their form, or by the name before a ``=`` or a ``:``."""
    if len(text) < 6:
        return text
    found = FORMS.sub(PLACEHOLDER, text)
    if "://" in found:
        found = _URL_CREDENTIALS.sub(_without_credentials, found)
        found = _URL_PARAMETER.sub(rf"\g<1>{PLACEHOLDER}", found)
    if "=" in found or ":" in found:
        found = _QUOTED_ASSIGNMENT.sub(_quoted_assignment, found)
        found = _ASSIGNMENT.sub(_assignment, found)
        found = _SPACED_ASSIGNMENT.sub(_spaced_assignment, found)
    if "\\" in found:
        found = _ESCAPED_ASSIGNMENT.sub(_escaped_assignment, found)
    if "--" in found:
        found = _OPTION.sub(_option, found)
    if "auth" in found or "login" in found:
        found = _LOGIN.sub(rf"\g<1>{PLACEHOLDER}", found)
    if "earer" in found or "uthorization" in found or "EARER" in found:
        found = _AUTHORIZATION.sub(rf"\g<1>\g<3>{PLACEHOLDER}", found)
    return text if found == text else found


def _without_credentials(match: re.Match[str]) -> str:
    scheme, user = match.groups()
    if scheme.lower().endswith("ssh") and ":" not in user:
        return match.group()  # `ssh://git@host`: the name of an account
    return f"{scheme}://{PLACEHOLDER}@"


def _quoted_assignment(match: re.Match[str]) -> str:
    name, between, quote, value = match.groups()
    if not (is_value(value) and is_secret_name(name, value)):
        return match.group()
    return f"{name}{between}{quote}{PLACEHOLDER}{quote}"


def _assignment(match: re.Match[str]) -> str:
    name, value = match.groups()
    if NOT_TEXT.match(value) or not (is_value(value) and is_secret_name(name, value)):
        return match.group()
    return f"{name}={PLACEHOLDER}"


def _escaped_assignment(match: re.Match[str]) -> str:
    name, between, quote, value = match.groups()
    if not (is_value(value) and is_secret_name(name, value)):
        return match.group()
    return f"{name}{between}{quote}{PLACEHOLDER}"


def _spaced_assignment(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    plain_word = value.isalpha() and not name.lower().endswith(("password", "passwd", "passphrase"))
    if (
        plain_word
        or _DOTTED.fullmatch(value)
        or NOT_TEXT.match(value)
        or not (is_value(value) and is_secret_name(name, value))
    ):
        return match.group()  # "unexpected token: string" is a sentence
    return f"{name}{between}{PLACEHOLDER}"


def _option(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    if NOT_TEXT.match(value) or not (is_value(value) and is_secret_name(name.lstrip("-"), value)):
        return match.group()
    return f"{name}{between}{PLACEHOLDER}"


def redact_url(url: str) -> str:
    """`url` without user name and password (an ssh account's name stays) and without signed parameters.

    Examples
    --------
    >>> redact_url("https://me:hunter2@example.org/project.git")
    'https://example.org/project.git'
    >>> redact_url("git@example.org:project.git")
    'git@example.org:project.git'
    """
    match = _URL_CREDENTIALS.match(url)
    if match:
        scheme, user = match.groups()
        account = f"{user.partition(':')[0]}@" if scheme.lower().endswith("ssh") else ""
        url = f"{scheme}://{account}{url[match.end() :]}"
    return _URL_PARAMETER.sub(rf"\g<1>{PLACEHOLDER}", url)
