"""Names that a tracker takes, one for each that it would not."""

from __future__ import annotations

import re
from collections.abc import Iterable

from blake3 import blake3

_DIGEST_LENGTH = 8


def allowed_names(names: Iterable[str], forbidden: re.Pattern[str], longest: int) -> dict[str, str]:
    """Each name with the one that stands for it at the tracker.

    What `forbidden` matches becomes ``_``. A name that is cut, or that would then be another's, ends with a digest
    of its own, so two metrics never become one.

    Examples
    --------
    >>> allowed_names(["loss", "a=b"], re.compile("="), 250)
    {'loss': 'loss', 'a=b': 'a_b-c93722fb'}
    """
    allowed: dict[str, str] = {}
    for name in names:
        plain = forbidden.sub("_", name)
        if plain != name or len(plain) > longest or not plain:
            digest = blake3(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
            plain = f"{plain[: longest - _DIGEST_LENGTH - 1]}-{digest}"
        allowed[name] = plain
    return allowed
