"""Where the real data is, and a guard against the network."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with the real data sets, photos and detector weights: `../shared` or MIEN_TEST_DATA."""
    path = Path(os.environ.get("MIEN_TEST_DATA", REPOSITORY.parent / "shared"))
    if not path.is_dir():
        pytest.skip(f"no real data at {path}: set MIEN_TEST_DATA to the folder that holds data/ and weights/")
    return path


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing may open a connection to another machine unasked."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else "unix"
        if host not in ("127.0.0.1", "::1", "localhost", "unix"):
            raise AssertionError(f"a test opened a connection to {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    yield


@pytest.fixture(autouse=True)
def _own_home(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Mien keeps its files in an empty folder of the test, not in the user's."""
    monkeypatch.setenv("MIEN_HOME", str(tmp_path_factory.mktemp("home")))
