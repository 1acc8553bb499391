from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from mien.artifact import store
from mien.errors import ArtifactError, DownloadError

GOOD = bytes(range(256)) * 1000


class Handler(BaseHTTPRequestHandler):
    calls: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.calls.append(self.path)
        first = len(self.calls) == 1
        if self.path == "/missing" or (self.path == "/busy" and first):
            self.send_error(404 if self.path == "/missing" else 503)
            return
        body = GOOD[::-1] if self.path == "/wrong" else GOOD + (GOOD if self.path == "/long" else b"")
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = self.path == "/drop" or (self.path == "/drop-once" and first)
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Iterator[store.RemoteFile]:
    """A pinned file on a server of the test's own; `/` serves it well."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    Handler.calls.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    yield store.RemoteFile("thing", "thing.bin", url, hashlib.sha256(GOOD).hexdigest(), len(GOOD), "MIT")
    server.shutdown()
    thread.join()
    server.server_close()


def at(file: store.RemoteFile, path: str) -> store.RemoteFile:
    return replace(file, url=file.url + path)


def pull(file: store.RemoteFile) -> Path:
    return store.pull(file, retries=2, timeout_s=5, backoff_s=0.01)


def kept() -> list[Path]:
    return [path for path in store.home().rglob("*") if path.is_file()]


def test_home_is_the_folder_that_the_environment_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIEN_HOME", str(tmp_path))
    assert store.home() == tmp_path


@pytest.mark.parametrize(
    ("platform", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "here/mien"),
        ("linux", None, "me/.cache/mien"),
        ("darwin", None, "me/Library/Caches/mien"),
        ("win32", "LOCALAPPDATA", "here/mien"),
        ("win32", None, "me/AppData/Local/mien"),
    ],
)
def test_home_is_the_platforms_cache(
    monkeypatch: pytest.MonkeyPatch, platform: str, variable: str | None, expected: str
) -> None:
    for name in ("MIEN_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", classmethod(lambda cls: cls("me")))
    if variable:
        monkeypatch.setenv(variable, "here")
    assert store.home() == Path(expected)


def test_pull_fetches_once_and_verifies(file: store.RemoteFile) -> None:
    assert store.find(file) is None
    path = pull(file)
    assert path.read_bytes() == GOOD
    assert path == store.destination(file) == store.find(file)
    assert pull(file) == path
    assert len(Handler.calls) == 1
    assert kept() == [path]


@pytest.mark.parametrize("path", ["busy", "drop-once"])
def test_pull_tries_again(file: store.RemoteFile, path: str) -> None:
    assert pull(at(file, path)).read_bytes() == GOOD
    assert len(Handler.calls) == 2


@pytest.mark.parametrize("path", ["wrong", "long"])
def test_another_content_names_both_digests_and_is_not_kept(file: store.RemoteFile, path: str) -> None:
    with pytest.raises(DownloadError, match=f"sha256 [0-9a-f]{{64}}, not {file.sha256}"):
        pull(at(file, path))
    assert len(Handler.calls) == 1
    assert kept() == []


def test_a_connection_that_always_drops_is_an_error_and_leaves_nothing(file: store.RemoteFile) -> None:
    with pytest.raises(DownloadError, match="bytes"):
        pull(at(file, "drop"))
    assert len(Handler.calls) == 3
    assert kept() == []


def test_a_missing_file_is_not_tried_again(file: store.RemoteFile) -> None:
    with pytest.raises(DownloadError, match="Not Found"):
        pull(at(file, "missing"))
    assert len(Handler.calls) == 1


def test_offline_says_how_to_do_without(file: store.RemoteFile) -> None:
    dead = replace(file, url="http://127.0.0.1:9/thing.bin")
    with pytest.raises(DownloadError) as caught:
        store.pull(dead, retries=0)
    for part in ("127.0.0.1", str(store.destination(file)), file.sha256, dead.url):
        assert part in str(caught.value)


def test_home_may_be_a_read_only_folder_that_just_holds_the_file(file: store.RemoteFile) -> None:
    home = store.home()
    (home / file.filename).write_bytes(GOOD)
    home.chmod(0o555)
    try:
        assert store.find(file) == home / file.filename
        assert pull(file) == home / file.filename
    finally:
        home.chmod(0o755)
    assert Handler.calls == []


def test_a_damaged_file_is_told_and_pull_replaces_it(file: store.RemoteFile) -> None:
    target = store.destination(file)
    target.parent.mkdir()
    target.write_bytes(b"half")
    with pytest.raises(ArtifactError, match="mien model pull thing"):
        store.find(file)
    assert pull(file).read_bytes() == GOOD
    assert store.find(file) == target


def test_a_home_that_cannot_be_written_is_told(file: store.RemoteFile) -> None:
    (store.home() / "weights").write_text("a file where a folder should be")
    with pytest.raises(DownloadError, match="MIEN_HOME"):
        pull(file)
    assert Handler.calls == []


@pytest.mark.skipif(os.name == "nt", reason="proxies are read from the registry on Windows")
def test_the_environments_proxy_is_used(file: store.RemoteFile, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", file.url)
    away = replace(file, url="http://files.example/thing.bin")
    assert pull(away).read_bytes() == GOOD
    assert Handler.calls == ["http://files.example/thing.bin"]


@pytest.mark.data
def test_the_pinned_detector_is_the_zoos(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_HOME", str(shared / "weights"))
    path = store.find(store.YUNET)
    assert path is not None
    assert path.stat().st_size == store.YUNET.size_bytes
