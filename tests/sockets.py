"""Whom the tests of reading ask: nobody. Python tells of each attempt, also of one that a library keeps to itself."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

ASKING = (
    "socket.connect",
    "socket.bind",
    "socket.sendto",
    "socket.sendmsg",
    "socket.getaddrinfo",
    "socket.gethostbyname",
)
ASKED: list[str] = []


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ASKING:
        address = arguments[1] if event in ASKING[:4] else arguments[0]
        # Processes of one machine speak to one another by the path of a file.
        if isinstance(address, tuple) or event not in ASKING[:4]:
            ASKED.append(f"{event} {address}")


sys.addaudithook(_watch)


@pytest.fixture(autouse=True)
def opens_no_socket() -> Iterator[None]:
    """A test of reading connects to no address, listens on none and looks none up, not even of this machine."""
    before = len(ASKED)
    yield
    assert ASKED[before:] == []
