"""Files in the caches of hubs, known by what they are a copy of: a repository and its revision."""

from __future__ import annotations

import re
from typing import NamedTuple

_HUGGING_FACE = re.compile(
    r"^(?P<folder>.*/(?P<kind>models|datasets|spaces)--(?P<name>[^/]+)/snapshots/(?P<revision>[^/]+))/"
)
_HF_INSIDE = re.compile(r"/(?:models|datasets|spaces)--[^/]+/(?:refs|\.no_exist|blobs)/")
_HF_PREPARED = re.compile(
    r"^(?P<folder>.*/huggingface/datasets/(?P<name>[^/]+)/[^/]+/[^/]+/(?P<revision>[0-9a-f]{16,64}))/"
)
"""What the library `datasets` has made of a data set: builder, configuration, version, fingerprint."""
_TORCH = re.compile(r"^(?P<folder>.*/hub/(?P<owner>[A-Za-z0-9-]+)_(?P<name>[^/]+)_(?P<revision>[^/_]+))/")
_TORCH_WEIGHTS = re.compile(r"/hub/checkpoints/(?:.*-)?(?P<digest>[0-9a-f]{8,64})\.[a-z]+$")
_EXACT = re.compile(r"[0-9a-f]{40}")


class HubSource(NamedTuple):
    """What a cached folder is a copy of."""

    folder: str
    repository: str
    revision: str
    exact: bool
    """Whether the revision always means the same content; a branch does not."""


def hub_source(path: str) -> HubSource | None:
    """The repository that this file was fetched from; None for a file that is in no hub's cache."""
    found = _HUGGING_FACE.match(path)
    if found is not None:
        repository = found["name"].replace("--", "/")
        kind = "" if found["kind"] == "models" else f"{found['kind']}/"
        revision = found["revision"]
        return HubSource(
            found["folder"], f"hf://{kind}{repository}", revision, _EXACT.fullmatch(revision) is not None
        )
    found = _HF_PREPARED.match(path)
    if found is not None:
        name = found["name"].replace("___", "/")
        return HubSource(found["folder"], f"hf://datasets/{name}", found["revision"], True)
    found = _TORCH.match(path)
    if found is not None and "/checkpoints/" not in path:
        revision = found["revision"]
        return HubSource(
            found["folder"],
            f"github.com/{found['owner']}/{found['name']}",
            revision,
            _EXACT.fullmatch(revision) is not None,
        )
    return None


def is_index_of_hub(path: str) -> bool:
    """Whether a hub's client keeps it to find its way: which commit a branch was, what is not there."""
    return _HF_INSIDE.search(path) is not None


def promised_sha256(path: str) -> str | None:
    """The beginning of the SHA-256 that a file of torch's hub bears in its name (``resnet18-f37072fd.pth``)."""
    found = _TORCH_WEIGHTS.search(path)
    return None if found is None else found["digest"]
