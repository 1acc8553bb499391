"""API keys: made once, stored as a hash, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping

from starlette.datastructures import Headers

from mien.errors import ConfigError

KEY_PREFIX = "mien_"
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def make_key() -> str:
    """A new key of 256 random bits; it is shown once and kept nowhere."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """What the settings hold in place of a key. A plain SHA-256 will do: nobody can guess 256 random bits."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def check_hash(name: str, digest: str) -> None:
    """Refuse what is no name or hash of a key.

    Raises:
        ValueError: saying how to make one.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"the key's name {name!r} is not made of letters, digits, dots and dashes")
    if not _HASH.fullmatch(digest):
        raise ValueError(f"the key {name!r} has no hash as `mien serve --make-key {name}` prints it")


def describe_key(name: str) -> str:
    """A new key, and the line of the settings that lets it in.

    Raises:
        ConfigError: for a name that is none.
    """
    key = make_key()
    try:
        check_hash(name, hash_key(key))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return (
        f"The key, which is shown this once:\n  {key}\n\n"
        f'Its line in the settings file:\n  [api_keys]\n  {name} = "{hash_key(key)}"\n'
    )


def find_owner(keys: Mapping[str, str], headers: Headers) -> str | None:
    """The name of the key that a request shows, in `Authorization: Bearer` or `X-API-Key`; None for a strange one.

    All hashes are compared whatever the first ones say, so that the time tells nothing.
    """
    shown = hash_key(_shown(headers))
    found = [name for name, digest in keys.items() if hmac.compare_digest(digest, shown)]
    return found[0] if found else None


def _shown(headers: Headers) -> str:
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
