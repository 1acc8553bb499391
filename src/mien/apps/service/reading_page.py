"""`/read/`: the page that analyzes in the browser, where it was built (`web/`); not in the wheel, for its size."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mien.apps.service.problems import Problem
from mien.apps.service.settings import Settings

router = APIRouter(include_in_schema=False)

CHECKOUT = Path(__file__).resolve().parents[4] / "web" / "dist"
HEADERS_FILE = "headers.json"
TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
    ".mjs": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".json": "application/json",
    ".webmanifest": "application/manifest+json", ".png": "image/png", ".ort": "application/octet-stream",
    ".gz": "application/octet-stream",
}  # fmt: skip


def find_page(settings: Settings) -> Path | None:
    """The folder of the built page; None where it was not built."""
    folder = settings.page_dir or CHECKOUT
    return folder if (folder / HEADERS_FILE).is_file() else None


@lru_cache(maxsize=4)
def read_headers(folder: Path) -> dict[str, str]:
    """What the page's answers carry, as its build wrote it: the policy, and the isolation that threads need."""
    headers: dict[str, str] = json.loads((folder / HEADERS_FILE).read_text("utf-8"))
    return headers | {"Cache-Control": "no-cache"}


@router.get("/read")
async def show_read(request: Request) -> Response:
    """The page's address without its slash."""
    return RedirectResponse(f"{request.scope.get('root_path', '')}/read/")


@router.get("/read/")
async def show_read_page(request: Request) -> Response:
    """The page."""
    return _file(request, "index.html")


@router.get("/read/{name}")
async def show_read_part(request: Request, name: str) -> Response:
    """A file of the page."""
    return _file(request, name)


def _file(request: Request, name: str) -> Response:
    folder = find_page(request.app.state.service.settings)
    if folder is None:
        raise Problem("not-found", "the page is not built: run `npm ci && npm run build` in web/, or set page_dir")
    # Looked up among the files that exist, so a name cannot lead out of the folder.
    known = {path.name: path for path in folder.iterdir() if path.suffix in TYPES}
    if name not in known:
        raise Problem("not-found", "no such file; the page is at /read/")
    path = known[name]
    return Response(path.read_bytes(), headers=read_headers(folder), media_type=TYPES[path.suffix])
