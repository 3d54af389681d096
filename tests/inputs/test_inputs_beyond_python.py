"""What no event tells of: files that native libraries open, and documents that come over the network."""

from __future__ import annotations

import http.server
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import requests

from repro_hydra.inputs import remote
from repro_hydra.inputs.hook import activate, deactivate
from repro_hydra.inputs.native import NativeReads
from repro_hydra.inputs.recorder import Recorder
from repro_hydra.inputs.remote import RemoteReads, without_signature


class Handler(http.server.BaseHTTPRequestHandler):
    headers_by_path = {  # noqa: RUF012 (never written to)
        "/etag": {"ETag": '"e1"'},
        "/s3": {"ETag": '"e2"', "x-amz-version-id": "v2"},
        "/hub": {"ETag": '"e3"', "X-Repo-Commit": "c" * 40},
    }

    def do_GET(self) -> None:
        found = self.path.partition("?")[0] != "/missing"
        self.send_response(200 if found else 404)
        for name, value in self.headers_by_path.get(self.path.partition("?")[0], {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()
        thread.join()


def now(_name: str, action: Callable[[], None]) -> None:
    """As `LateImports.when_imported` for what is imported already."""
    action()


def test_a_fetched_document_is_known_by_its_version(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever fetched it; what was only sent, or not found, is no input."""
    httpx = pytest.importorskip("httpx")
    monkeypatch.setattr(remote, "_is_loopback", lambda url: False)
    reads = RemoteReads()
    reads.install(now)
    try:
        urllib.request.urlopen(f"{server}/etag").read()
        requests.get(f"{server}/s3?X-Amz-Signature=secret", timeout=10)
        requests.get(f"{server}/hub", timeout=10)
        requests.get(f"{server}/plain?page=2", timeout=10)
        requests.get(f"{server}/missing", timeout=10)
        httpx.get(f"{server}/etag?client=httpx")
        requests.post(f"{server}/etag2", data="x", timeout=10)
    finally:
        reads.remove()
    requests.get(f"{server}/afterwards", timeout=10)
    answers = {url.removeprefix(server): answer for url, answer in reads.answers.items()}
    assert {path: answer.version for path, answer in answers.items()} == {
        "/etag": "e1",
        "/s3": "v2",
        "/hub": "c" * 40,
        "/plain?page=2": None,
        "/etag?client=httpx": "e1",
    }
    assert answers["/hub"].commit == "c" * 40
    assert answers["/etag"].size_bytes == 2


def test_a_tracker_on_this_machine_is_no_input(server: str) -> None:
    reads = RemoteReads()
    reads.install(lambda name, action: action() if name == "http.client" else None)
    try:
        requests.get(f"{server}/etag", timeout=10)
    finally:
        reads.remove()
    assert reads.answers == {}


def test_a_recorded_url_holds_no_secret() -> None:
    assert without_signature("https://user:pass@h.org/a?x=1") == "https://h.org/a?x=1"
    assert without_signature("https://h.org/a?X-Amz-Credential=AK&X-Amz-Signature=s") == "https://h.org/a"
    assert without_signature("https://h.org/a?sig=s&se=2026") == "https://h.org/a"


def test_native_readers_tell_what_they_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directly or within pandas; a class stays itself; when the run is over they are as they were."""
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for path in paths:
        pd.DataFrame({"a": [1]}).to_parquet(path)
    mapped = tmp_path / "mapped"
    mapped.write_bytes(b"x")
    originals = (pyarrow.parquet.read_table, pyarrow.parquet.ParquetFile.__init__, pyarrow.memory_map)
    modules = ("pyarrow", "pyarrow.parquet")
    recorder = Recorder(from_start=False)
    activate(recorder)
    reads = NativeReads(recorder.opened_natively)
    reads.install(lambda name, action: action() if name in modules else None)
    monkeypatch.chdir(tmp_path)
    try:
        pd.read_parquet(paths[0])
        pyarrow.parquet.read_table("1.parquet")
        assert isinstance(pyarrow.parquet.ParquetFile(source=paths[2]), pyarrow.parquet.ParquetFile)
        pyarrow.memory_map(str(mapped))
    finally:
        reads.remove()
        deactivate()
    assert set(recorder.reads) >= {str(path) for path in (*paths, mapped)}
    assert (pyarrow.parquet.read_table, pyarrow.parquet.ParquetFile.__init__, pyarrow.memory_map) == originals


def test_what_a_native_library_writes_is_no_input(tmp_path: Path) -> None:
    recorder = Recorder(from_start=False)
    reads = NativeReads(recorder.opened_natively)
    (tmp_path / "old.h5").write_bytes(b"x")
    opening = reads._telling(lambda *_: None, 0)
    opening(tmp_path / "old.h5", "w")
    opening(tmp_path / "old.h5", "r")
    assert recorder.reads == {str(tmp_path / "old.h5"): None}
