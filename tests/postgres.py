"""A PostgreSQL database for a test: empty, and gone afterwards."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def empty_postgres() -> Iterator[str]:
    """The address of a new database on the server of MIEN_TEST_POSTGRES; skips without it."""
    url = os.environ.get("MIEN_TEST_POSTGRES")
    if not url:
        pytest.skip("no PostgreSQL server: set MIEN_TEST_POSTGRES to the URL of an empty database, as .ci/run does")
    import psycopg

    server = url.replace("+psycopg", "")
    name = f"mien_test_{secrets.token_hex(6)}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")  # type: ignore[call-overload]
    try:
        yield f"{server.rsplit('/', 1)[0]}/{name}"
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[call-overload]
