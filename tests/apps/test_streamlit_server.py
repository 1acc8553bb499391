"""What `mien app` and `mien data review` have in common."""

from __future__ import annotations

import socket
from importlib.metadata import PackageNotFoundError
from typing import Any

import pytest

from mien.apps import streamlit_server
from mien.apps.review import server as review
from mien.apps.streamlit_server import Address, check_address, need_streamlit
from mien.apps.web import server as web
from mien.errors import ConfigError, MissingExtraError

HERE = Address("127.0.0.1", 8501)
PAGES = {
    "app": lambda address: web.page_options(address, browser=False, max_upload_mb=50),
    "review": lambda address: review.page_options(address, browser=False),
}


@pytest.mark.parametrize(("found", "needed"), [(None, "streamlit, "), ("1.66.1", r"streamlit 1\.67 or newer, ")])
def test_without_streamlit_the_pip_line_is_given(
    monkeypatch: pytest.MonkeyPatch, found: str | None, needed: str
) -> None:
    def version(name: str) -> str:
        if found is None:
            raise PackageNotFoundError(name)
        return found

    monkeypatch.setattr(streamlit_server, "version", version)
    with pytest.raises(MissingExtraError, match=needed + r'.*pip install "mien\[web\]"'):
        need_streamlit()
    with pytest.raises(MissingExtraError):
        web.start(HERE)


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} of 127\.0\.0\.1 is in use.*--port \d+"):
            check_address(Address("127.0.0.1", port))


def test_the_next_free_port_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        monkeypatch.setattr(review, "PORTS", (taken, 0))
        assert review.free_port(None) == 0
        monkeypatch.setattr(review, "PORTS", (taken, taken))
        with pytest.raises(ConfigError, match="is free: choose one with --port"):
            review.free_port(None)


@pytest.mark.parametrize(
    ("host", "message"), [("192.0.2.1", "cannot listen"), ("no such host", "is not an address of this computer")]
)
def test_an_address_of_another_computer_is_told(host: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_address(Address(host, 8501))


@pytest.mark.parametrize(
    ("host", "url", "local"),
    [
        ("127.0.0.1", "http://127.0.0.1:8501", True),
        ("localhost", "http://localhost:8501", True),
        ("::1", "http://[::1]:8501", True),
        ("0.0.0.0", "http://127.0.0.1:8501", False),
    ],
)
def test_the_address_to_open(host: str, url: str, local: bool) -> None:
    assert (Address(host, 8501).url, Address(host, 8501).is_local) == (url, local)


@pytest.mark.parametrize("page", PAGES)
def test_the_options_are_streamlits_and_private(page: str) -> None:
    config = pytest.importorskip("streamlit.config", reason='needs pip install "mien[web]"')
    options: dict[str, Any] = PAGES[page](HERE)
    assert {name.replace("_", ".") for name in options} <= set(config.get_config_options())
    assert options["browser_gatherUsageStats"] is False
    assert options["server_enableXsrfProtection"] is True
    assert options["server_headless"] is True
    assert options["server_address"] == "127.0.0.1"
    assert "localhost" in options["server_allowedHosts"]
    assert not PAGES[page](Address("0.0.0.0", 8501))["server_allowedHosts"]


def test_both_pages_have_the_same_colours() -> None:
    one, other = ({k: v for k, v in PAGES[page](HERE).items() if "Color" in k} for page in PAGES)
    assert one == other
    assert {name.removeprefix("theme_light_") for name in one} >= {"primaryColor", "backgroundColor", "textColor"}
