"""Whether a value is a secret by what it is called.

A config of this field is full of words that only sound like one (``tokenizer``, ``max_tokens``, ``pad_token``,
``seed.key``, ``author``), so names are judged word by word, and numbers and booleans are never secrets.
"""

from __future__ import annotations

import re
from itertools import pairwise

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS = frozenset({"password", "passwords", "passwd", "passphrase", "secret", "secrets"})
SECRET_HOLDERS = frozenset({"secret", "secrets", "credential", "credentials"})
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
NOT_TEXT = re.compile(
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


def is_value(text: str) -> bool:
    return bool(text) and _REFERENCE.match(text) is None
