"""Secrets taken out of whatever is recorded: by the name of a value, and by its form.

A record is made to be published, so a password that stood in a config, a command line, a remote's URL or a
traceback must not. A config of this field is full of words that only sound like one (``tokenizer``,
``max_tokens``, ``pad_token``, ``seed.key``, ``author``), so names are judged word by word, and numbers and
booleans are never secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

from repro_hydra.record.schema import JSON

PLACEHOLDER = "[redacted]"

# --- by name ---------------------------------------------------------------------------------------------

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset({"password", "passwords", "passwd", "passphrase", "secret", "secrets"})
_SECRET_HOLDERS = frozenset({"secret", "secrets", "credential", "credentials"})
"""Every text below a mapping of this name is one."""
_SECRET_ENDINGS = (
    "password", "passwd", "apikey", "accesskey", "secretkey", "privatekey", "authtoken", "accesstoken",
)  # fmt: skip
_SECRET_LAST_WORDS = frozenset(
    {"credential", "credentials", "auth", "authorization", "jwt", "bearer", "cookie", "cookies"}
)
_KINDS_OF_SECRET_KEY = frozenset(
    {"api", "access", "private", "secret", "encryption", "signing", "account", "ssh", "auth", "license"}
)
_ABOUT_A_SECRET = frozenset(
    {
        "file",
        "path",
        "dir",
        "name",
        "type",
        "env",
        "var",
        "url",
        "uri",
        "host",
        "mode",
        "method",
        "policy",
        "length",
    }
)
"""``password_file`` and ``secret_name`` tell where a secret lies, not what it is."""
_VOCABULARY_TOKENS = re.compile(
    "pad|bos|eos|unk|mask|cls|sep|special|image|audio|video|start|end|stop|begin|next|prev|first|last|new|blank|space"
    "|separator|eot|eod|sot|fim|prefix|suffix|middle|class|query|register|prompt|forced"
)
"""``pad_token`` and its like are text of a tokenizer."""
_LOOKS_LIKE_VOCABULARY = re.compile(r"[<>\[\]|\s▁]")
_REFERENCE = re.compile(r"^\$\{.*\}$|^\$\w+$|^\?\?\?$|^\[redacted\]$", re.DOTALL)
"""An interpolation, a variable's name, OmegaConf's "missing": not the value itself."""
_NOT_TEXT = re.compile(
    r"^(?:[-+]?[0-9][0-9_]*(?:\.[0-9]*)?(?:e[-+]?[0-9]+)?|true|false|null|none)$", re.IGNORECASE
)
"""What Hydra reads as a number, a boolean or null, where it still is text (a command line)."""


def is_secret_name(name: str, value: str = "") -> bool:
    """Whether a text called `name` is a secret; `value` decides where the name alone does not.

    Examples
    --------
    >>> is_secret_name("wandb.api_key"), is_secret_name("githubToken")
    (True, True)
    >>> is_secret_name("tokenizer"), is_secret_name("seed.key"), is_secret_name("pad_token", "<pad>")
    (False, False, False)
    """
    above, _, own = name.rpartition(".")
    words = [word.lower() for word in _WORD.findall(own)]
    if own == "key" and above:  # ``api: {key: …}``: what kind of key is said above
        words = [word.lower() for word in _WORD.findall(above.rpartition(".")[2])] + words
    if own in ("pass", "PASS"):
        return True
    if not words or words[-1] in _ABOUT_A_SECRET:
        return False
    if any(word in _SECRET_WORDS or word.endswith(_SECRET_ENDINGS) for word in words):
        return True
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last in _SECRET_LAST_WORDS or (last == "pwd" and before):
        return True
    if last == "token":
        if _VOCABULARY_TOKENS.fullmatch(before):
            return False
        return not (before and _LOOKS_LIKE_VOCABULARY.search(value))
    return any(
        first in _KINDS_OF_SECRET_KEY and second in ("key", "keys") for first, second in pairwise(words)
    )


def _is_value(text: str) -> bool:
    return bool(text) and _REFERENCE.match(text) is None


# --- by form ---------------------------------------------------------------------------------------------

_TOKENS = (
    r"(?P<aws>\b(?:AKIA|ASIA)[0-9A-Z]{16}\b(?<!EXAMPLE))"
    r"|(?P<github>\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{22,})"
    r"|(?P<gitlab>\bglpat-[A-Za-z0-9_-]{20,})"
    r"|(?P<sk>\bsk-(?:proj|ant|svcacct|admin|or)-[A-Za-z0-9_-]{16,}|\bsk-(?=[A-Za-z]*[0-9])[A-Za-z0-9]{20,}"
    r"|\b[sr]k_live_[A-Za-z0-9]{16,})"
    r"|(?P<slack>\bxox[abeoprs]-[A-Za-z0-9-]{10,})"
    r"|(?P<huggingface>\bhf_[A-Za-z0-9]{30,})"
    r"|(?P<google>\bAIza[0-9A-Za-z_-]{35})"
    r"|(?P<npm>\bnpm_[A-Za-z0-9]{30,})"
    r"|(?P<pypi>\bpypi-[A-Za-z0-9_-]{30,})"
    r"|(?P<docker>\bdckr_pat_[A-Za-z0-9_-]{20,})"
    r"|(?P<sendgrid>\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,})"
    r"|(?P<hook>(?<=/services/)T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9-]{8,})"
    r"|(?P<jwt>\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})"
)
_PRIVATE_KEY = r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----"
_FORMS = re.compile(
    rf"{_TOKENS}|{_PRIVATE_KEY}.*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)", re.DOTALL
)
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
_INNER_PAIR = re.compile(r"(?<![\w.-])(-*[A-Za-z_][\w.-]*)(\s*:\s*)([^\s,{}\[\]'\":][^,{}\[\]]*)")
"""A pair in a mapping of Hydra's override grammar: ``login={user: me, password: x}``."""


def redact_text(text: str) -> str:
    """`text` without the secrets that show by their form, or by the name before a ``=`` or a ``:``."""
    if len(text) < 6:
        return text
    found = _FORMS.sub(PLACEHOLDER, text)
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
    if not (_is_value(value) and is_secret_name(name, value)):
        return match.group()
    return f"{name}{between}{quote}{PLACEHOLDER}{quote}"


def _assignment(match: re.Match[str]) -> str:
    name, value = match.groups()
    if _NOT_TEXT.match(value) or not (_is_value(value) and is_secret_name(name, value)):
        return match.group()
    return f"{name}={PLACEHOLDER}"


def _escaped_assignment(match: re.Match[str]) -> str:
    name, between, quote, value = match.groups()
    if not (_is_value(value) and is_secret_name(name, value)):
        return match.group()
    return f"{name}{between}{quote}{PLACEHOLDER}"


def _spaced_assignment(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    plain_word = value.isalpha() and not name.lower().endswith(("password", "passwd", "passphrase"))
    if (
        plain_word
        or _DOTTED.fullmatch(value)
        or _NOT_TEXT.match(value)
        or not (_is_value(value) and is_secret_name(name, value))
    ):
        return match.group()  # "unexpected token: string" is a sentence
    return f"{name}{between}{PLACEHOLDER}"


def _option(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    if _NOT_TEXT.match(value) or not (_is_value(value) and is_secret_name(name.lstrip("-"), value)):
        return match.group()
    return f"{name}{between}{PLACEHOLDER}"


def _inner_pair(match: re.Match[str]) -> str:
    name, between, value = match.groups()
    if _NOT_TEXT.match(value.strip()) or not (_is_value(value) and is_secret_name(name, value)):
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


def _redacts_argument(name: str, value: str) -> bool:
    bare = value.strip("'\"")
    if not _is_value(bare) or _NOT_TEXT.match(bare) or value.startswith("{"):
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
        if _is_value(value) and (below_holder or (key and is_secret_name(key, value))):
            return PLACEHOLDER
        return redact_text(value)
    if isinstance(value, dict):
        inside = below_holder or key.rpartition(".")[2].lower() in _SECRET_HOLDERS
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


# --- by value --------------------------------------------------------------------------------------------

_SHORTEST_KNOWN = 8


def known_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The values of the environment's secret variables, which a config or a message may repeat under any name.

    A path (to a file that holds a secret) and what is too short to be told from other text are not among them.
    """
    found = {
        value
        for name, value in environ.items()
        if len(value) >= _SHORTEST_KNOWN
        and not value.startswith(("/", "~"))
        and not _NOT_TEXT.match(value)
        and is_secret_name(name, value)
    }
    return tuple(sorted(found, key=len, reverse=True))


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


# --- in files --------------------------------------------------------------------------------------------

_FILE_FORMS = re.compile(
    # A header alone is a program that handles keys; a key has its base64 below it.
    rf"(?P<pem>{_PRIVATE_KEY}(?:\\n|[\s\"'+])+(?:[A-Za-z-]+: [^\n]*\s+)*[A-Za-z0-9+/=]{{40}})|{_TOKENS}".encode()
)
_FILE_CLUES = (
    b"-----BEGIN ", b"AKIA", b"ASIA", b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_", b"glpat-", b"sk-",
    b"sk_live_", b"rk_live_", b"xox", b"hf_", b"AIza", b"eyJ", b"npm_", b"pypi-", b"dckr_pat_", b"SG.",
)  # fmt: skip
"""What `_FILE_FORMS` finds begins with one of these. To search 10 MB for each takes 0.1 s, for the pattern 1.1 s."""
_FORM_NAMES = {
    "pem": "a private key",
    "aws": "an AWS access key",
    "github": "a GitHub token",
    "gitlab": "a GitLab token",
    "sk": "a secret API key",
    "slack": "a Slack token",
    "huggingface": "a Hugging Face token",
    "google": "a Google API key",
    "npm": "an npm token",
    "pypi": "a token of a package index",
    "docker": "a Docker access token",
    "sendgrid": "a SendGrid key",
    "hook": "the address of a web hook",
    "jwt": "a JSON web token",
}


def find_secret(data: bytes) -> tuple[str, int] | None:
    """What in a file's content looks like a secret, as its kind and line; None where nothing does."""
    first: re.Match[bytes] | None = None
    for clue in _FILE_CLUES:
        end = len(data) if first is None else first.start()
        position = data.find(clue, 0, end)
        while position >= 0:
            match = _FILE_FORMS.match(data, position)
            if match is not None:
                first = match
                break
            position = data.find(clue, position + 1, end)
    if first is None:
        return None
    return _FORM_NAMES[first.lastgroup or "sk"], data.count(b"\n", 0, first.start()) + 1
