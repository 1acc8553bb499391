"""`/live`: the page that shows a visitor's own camera with what is read from it; files of this package alone."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from mien.apps.service.problems import Problem

router = APIRouter(include_in_schema=False)

FOLDER = Path(__file__).parent / "live"
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}  # fmt: skip
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/live")
async def show_page() -> Response:
    """The page."""
    return _file("index.html")


@router.get("/live/{name}")
async def show_part(name: str) -> Response:
    """Its script, style and icon."""
    return _file(name)


def _file(name: str) -> Response:
    known = {path.name: path for path in FOLDER.iterdir() if path.suffix in TYPES}
    if name not in known:
        raise Problem("not-found", "there is nothing here; the page is /live")
    path = known[name]
    return Response(path.read_bytes(), headers=HEADERS, media_type=TYPES[path.suffix])
