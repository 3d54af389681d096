"""A line to the tracking server that can be cut, slowed, filled or locked while a run is sent over it."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class Line:
    """Passes each request on to `target`, unless `fault` says otherwise.

    Attributes
    ----------
    fault : callable
        Gets the number of the request (from 0) and its path; returns a status to answer with instead, ``"cut"`` to
        hang up before the server sees it, ``"lose"`` to hang up after it did, or None.
    delay_s : float
        Waited before each request is passed on.
    """

    def __init__(self, target: str) -> None:
        self.target = urlsplit(target)
        self.fault: Callable[[int, str], int | str | None] = lambda _number, _path: None
        self.delay_s = 0.0
        self.requests = 0
        self._lock = threading.Lock()
        line = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self) -> None:
                line._pass_on(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Line:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _pass_on(self, request: BaseHTTPRequestHandler) -> None:
        with self._lock:
            number, self.requests = self.requests, self.requests + 1
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        fault = self.fault(number, request.path)
        if fault == "cut":
            request.close_connection = True
            return
        if isinstance(fault, int):
            self._answer(request, fault, b'{"error_code": "FAULT", "message": "as the test wants it"}', {})
            return
        time.sleep(self.delay_s)
        connection = http.client.HTTPConnection(str(self.target.hostname), self.target.port, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if fault == "lose":
            request.close_connection = True
            return
        self._answer(request, answer.status, data, dict(answer.getheaders()))

    def _answer(
        self, request: BaseHTTPRequestHandler, status: int, data: bytes, headers: dict[str, str]
    ) -> None:
        request.send_response(status)
        for name, value in headers.items():
            if name.lower() not in HOP_BY_HOP:
                request.send_header(name, value)
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)
