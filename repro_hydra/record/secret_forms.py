"""Secrets that show by their form alone: tokens of known services, private keys; in a text and in a file's bytes."""

from __future__ import annotations

import re

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
FORMS = re.compile(
    rf"{_TOKENS}|{_PRIVATE_KEY}.*?(?:-----END (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----|\Z)", re.DOTALL
)
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
