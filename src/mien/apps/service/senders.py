"""Whose requests are answered: what `Host` may call this service, and whose pages `Origin` may name."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from mien.apps.service.problems import Problem
from mien.apps.service.settings import Settings

LOCAL = "localhost"


def check_sender(headers: Headers, settings: Settings) -> None:
    """Let in programs and this service's own pages; refuse pages of other sites.

    Browsers send a page's POSTs, forms and WebSockets to any server, and only `Origin` tells whose page it is. A site
    that points its own name at this address (DNS rebinding) has the right `Origin`, and only `Host` gives it away.

    Raises:
        Problem: `unknown-host` or `cross-origin`.
    """
    # The connection ends: a refused body, which may be large, is not read.
    ending = {"Connection": "close"}
    if not is_known_host(headers.get("host", ""), settings):
        raise Problem(
            "unknown-host", "the service does not answer to this name: add it to allowed_hosts", headers=ending
        )
    if not is_known_origin(headers, settings):
        raise Problem("cross-origin", "pages of other sites may not use this service; see cors_origins", headers=ending)


def is_known_host(host: str, settings: Settings) -> bool:
    """Whether a request's `Host` is an IP address, localhost, the name that is listened on, or one that is allowed.

    A name is needed to rebind, so an address is always safe; and no browser leaves `Host` out.
    """
    if not host:
        return True
    try:
        parts = urlsplit(f"//{host}")
        name = (parts.hostname or "").removesuffix(".")
        _ = parts.port
    except ValueError:
        return False
    if not name or parts.path or parts.query or parts.fragment or parts.username is not None:
        return False
    return name in (LOCAL, settings.host.lower()) or _is_address(name) or _is_listed(name, settings.allowed_hosts)


def is_known_origin(headers: Headers, settings: Settings) -> bool:
    """Whether this comes from no page, from one of this very service, or from one of a site that is allowed."""
    origin = headers.get("origin")
    if origin is None or origin in settings.cors_origins or "*" in settings.cors_origins:
        return True
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    host = headers.get("host", "").lower()
    return bool(parts.netloc) and parts.netloc.lower().removesuffix(default) == host.removesuffix(default)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_listed(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name is among names like `example.org`, `*.example.org` (all below it) and `*` (any)."""
    known = [pattern.lower().removesuffix(".") for pattern in patterns]
    return any(
        pattern == "*" or name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))
        for pattern in known
    )
