from __future__ import annotations

import socket

import pytest

from mien.apps.cli.main import main
from mien.apps.web import server
from mien.apps.web.server import Address, check_address, server_options
from mien.errors import ConfigError, MissingExtraError


def test_without_streamlit_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[web\]"'):
        server.start(Address())


def test_a_port_in_use_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(SystemExit) as end:
            main(["app", "--no-browser", "--port", str(port)])
    assert end.value.code == 2
    assert f"port {port} of 127.0.0.1 is in use" in capsys.readouterr().err


def test_an_address_of_another_computer_is_told() -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        check_address(Address("192.0.2.1", 8501))


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
    assert (Address(host).url, Address(host).is_local) == (url, local)


def test_the_options_are_streamlits_and_private() -> None:
    config = pytest.importorskip("streamlit.config", reason='needs pip install "mien[web]"')
    options = server_options(Address(), browser=False, max_upload_mb=50)
    known = set(config.get_config_options())
    assert {name.replace("_", ".") for name in options} <= known
    assert options["browser_gatherUsageStats"] is False
    assert options["server_enableXsrfProtection"] is True
    assert options["server_maxUploadSize"] == 50
    assert "evil.example" not in options["server_allowedHosts"]
    assert not server_options(Address("0.0.0.0"), browser=False, max_upload_mb=50)["server_allowedHosts"]
