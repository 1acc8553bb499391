from __future__ import annotations

import socket

import pytest

from mien.apps.cli.main import main
from mien.apps.streamlit_server import Address
from mien.apps.web.server import page_options


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


def test_the_largest_upload_is_given_on() -> None:
    options = page_options(Address("127.0.0.1", 8501), browser=False, max_upload_mb=50)
    assert options["server_maxUploadSize"] == 50
