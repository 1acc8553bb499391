"""Ports of 127.0.0.1 for servers that have to be told one; no two processes of a test run are given the same."""

from __future__ import annotations

import os
import socket
from itertools import count

FIRST, EACH, PROCESSES = 20_000, 500, 20
"""Below the ports that the system gives away by itself, which another process may be given at any time."""

_next = count(os.getpid())


def free_port() -> int:
    """One that nobody listens on."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % PROCESSES
    for _ in range(EACH):
        port = FIRST + EACH * process + next(_next) % EACH
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"no port from {FIRST + EACH * process} on is free")
