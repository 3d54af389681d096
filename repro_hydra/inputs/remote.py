"""What the job fetched by HTTP, by the version that the server gave: an ETag, an object's version, a commit.

Python's events name a host at most. So the two methods of `http.client` that every request of the standard library,
`requests` and `urllib3` goes through are looked at, and `httpx.Client.send`.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from repro_hydra.patches import Patches
from repro_hydra.record.redact import redact_url

_VERSIONS = ("x-repo-commit", "x-amz-version-id", "x-goog-generation", "x-ms-version-id", "etag")
"""Headers that tell one content from another, the most exact first."""
_SIGNED = ("signature", "token", "credential", "expires", "key", "policy", "sig=")
_TRACKERS = ("mlflow", "wandb", "comet_ml", "neptune", "clearml", "aim", "sentry_sdk", "swanlab", "trackio")
_GOOD = (200, 206)


class Answer(msgspec.Struct, frozen=True):
    """A document that came over the network."""

    url: str
    version: str | None
    size_bytes: int | None
    commit: str | None = None
    """Of a hub's repository that it belongs to."""


class RemoteReads:
    """Notes the answers to GET requests while it is installed."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self._patches = Patches()

    def install(self, when_imported: Callable[[str, Callable[[], None]], None]) -> None:
        when_imported("http.client", self._look_at_http)
        when_imported("httpx", self._look_at_httpx)

    def remove(self) -> None:
        self._patches.undo()

    def _look_at_http(self) -> None:
        connection: Any = sys.modules["http.client"].HTTPConnection
        put, get = connection.putrequest, connection.getresponse

        @functools.wraps(put)
        def putrequest(self_: Any, method: str, url: str, *rest: Any, **more: Any) -> Any:
            self_._repro_hydra_asked = (method, url)
            return put(self_, method, url, *rest, **more)

        @functools.wraps(get)
        def getresponse(self_: Any, *rest: Any, **more: Any) -> Any:
            response = get(self_, *rest, **more)
            method, path = getattr(self_, "_repro_hydra_asked", ("", ""))
            if method == "GET" and response.status in _GOOD:
                self._note(_url_of(self_, path), response.headers)
            return response

        self._patches.attribute(connection, "putrequest", putrequest)
        self._patches.attribute(connection, "getresponse", getresponse)

    def _look_at_httpx(self) -> None:
        for name in ("Client", "AsyncClient"):
            client: Any = getattr(sys.modules["httpx"], name)
            self._patches.attribute(client, "_send_handling_redirects", self._noting(client, name))

    def _noting(self, client: Any, name: str) -> Any:
        send = client._send_handling_redirects
        note = self._note_httpx

        if name == "Client":

            @functools.wraps(send)
            def sending(*arguments: Any, **named: Any) -> Any:
                response = send(*arguments, **named)
                note(response)
                return response

            return sending

        @functools.wraps(send)
        async def sending_later(*arguments: Any, **named: Any) -> Any:
            response = await send(*arguments, **named)
            note(response)
            return response

        return sending_later

    def _note_httpx(self, response: Any) -> None:
        if response.request.method == "GET" and response.status_code in _GOOD:
            self._note(str(response.url), response.headers)

    def _note(self, url: str, headers: Mapping[str, str]) -> None:
        if _is_loopback(url) or _by_a_tracker():
            return
        shown = without_signature(url)
        versions = [value for name in _VERSIONS if (value := headers.get(name))]
        length = headers.get("content-length") or ""
        self.answers[shown] = Answer(
            url=shown,
            version=versions[0].strip('"') if versions else None,
            size_bytes=int(length) if length.isdigit() else None,
            commit=headers.get("x-repo-commit"),
        )


def without_signature(url: str) -> str:
    """The URL as it may stand in a record: no credentials, and no query that signs it."""
    head, _, query = redact_url(url).partition("?")
    return head if not query or any(word in query.lower() for word in _SIGNED) else f"{head}?{query}"


def _url_of(connection: Any, path: str) -> str:
    if "://" in path:  # through a proxy
        return path
    secure = type(connection).__name__.startswith("HTTPS") or connection.port == 443
    host = connection._tunnel_host or connection.host
    port = connection._tunnel_port if connection._tunnel_host else connection.port
    where = host if port in (None, 443 if secure else 80) else f"{host}:{port}"
    return f"{'https' if secure else 'http'}://{where}{path}"


def _is_loopback(url: str) -> bool:
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    return host.startswith(("127.", "localhost", "[::1]", "0.0.0.0"))  # noqa: S104 (compared only)


def _by_a_tracker() -> bool:
    """Whether a tracker asked its server; what it downloads as an artifact is the job's input."""
    frame: Any = sys._getframe(2)
    found = False
    while frame is not None:
        parts = frame.f_code.co_filename.replace(os.sep, "/").split("/site-packages/")[-1].split("/")
        if parts[0] in _TRACKERS and len(parts) > 1:
            if any("artifact" in part for part in parts):
                return False
            found = True
        frame = frame.f_back
    return found
