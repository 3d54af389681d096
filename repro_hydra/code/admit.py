"""Which files may go into a snapshot: none that looks like a secret, none above the caps.

A snapshot is a git object and a patch is part of a record; both are made to be shared.
"""

from __future__ import annotations

import os
import re
import stat

from repro_hydra.record.redact import find_secret

_ENVIRONMENT_FILE = re.compile(
    rb"\.env(?:rc)?(?:\.(?!example$|sample$|template$|dist$|defaults?$).+)?|.+\.env"
)
_SECRET_NAMES = re.compile(
    rb".+\.(?:pem|key|p12|pfx|jks|keystore|kdbx|ppk)"
    rb"|id_(?:rsa|dsa|ecdsa|ed25519)(?:_sk)?"
    rb"|\.?credentials|\.?(?:credentials|secrets?|client_secret.*|service[-_]account.*)\.(?:json|ya?ml|toml|ini|cfg|conf|txt|csv)"
    rb"|credentials[-_][^.]*(?:\.(?:json|ya?ml|toml|ini|cfg|conf|txt|csv))?"
    rb"|[._]netrc|\.pgpass|\.pypirc|\.npmrc|\.htpasswd|\.git-credentials|\.my\.cnf|\.s3cfg|\.boto|kaggle\.json",
    re.IGNORECASE,
)
SECRETS = "secrets are never captured"
"""How a reason ends that has to do with one."""


def is_environment_file(path: bytes) -> bool:
    """Whether it is a ``.env``: variables of one machine, whose absence from a snapshot changes no code."""
    return _ENVIRONMENT_FILE.fullmatch(path.rpartition(b"/")[2]) is not None


def refusal(path: bytes, absolute: bytes, max_file_bytes: int) -> str | None:
    """Why this file must not be captured; None where it may be."""
    name = path.rpartition(b"/")[2]
    if is_environment_file(path):
        return f"holds the environment of one machine; {SECRETS}"
    if _SECRET_NAMES.fullmatch(name):
        return f"is named like a secret; {SECRETS}"
    try:
        state = os.lstat(absolute)
        if not stat.S_ISREG(state.st_mode):
            return None  # a symbolic link, or a submodule
        if state.st_size > max_file_bytes:
            return f"has {state.st_size:,} bytes, more than code.max_file_bytes={max_file_bytes:,}"
        with open(absolute, "rb") as stream:  # noqa: PTH123 (a path that may not be UTF-8)
            secret = find_secret(stream.read())
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if secret is not None:
        kind, line = secret
        return f"line {line} looks like {kind}; {SECRETS}"
    return None
