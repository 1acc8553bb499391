"""The application: settings in, FastAPI out."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from mien import __version__
from mien.apps.service import jobs, live_page, stream, videos
from mien.apps.service.logs import LOGGER
from mien.apps.service.middleware import RequestMiddleware
from mien.apps.service.problems import ProblemDocument, add_handlers
from mien.apps.service.settings import Settings
from mien.apps.service.state import Service

ROUTES = ("analyze", "models", "health")
"""The modules of `routes`, in the order of the documentation."""

TAGS = [
    {"name": "pictures", "description": "Faces and their expressions in pictures."},
    {"name": "videos", "description": "Videos as jobs: sent, read in the background, asked after, deleted."},
    {"name": "models", "description": "The models that are served, with their scores."},
    {"name": "health", "description": "For those who run the service."},
]
DESCRIPTION = """Reads facial expressions in pictures and videos: what a face shows, not what a person feels.

Nothing that is sent is stored or logged, but for a video until its job ends, and its result for a set time. A camera's
frames are read live over the WebSocket `/v1/stream`; the page `/live` does that. Errors are
[RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents; `type` tells them apart.
"""

_log = logging.getLogger(LOGGER)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service as an ASGI application; `app.state.service` is what its routes share.

    The model is loaded once the application is started: `/readyz` tells when it is there.
    """
    settings = settings or Settings()
    service = Service(settings)
    app = FastAPI(
        title="Mien", version=__version__, description=DESCRIPTION, openapi_tags=TAGS, lifespan=_live,
        root_path=settings.root_path, docs_url=None, redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )  # fmt: skip
    app.state.service = service
    add_handlers(app)
    for name in ROUTES:
        app.include_router(importlib.import_module(f"mien.apps.service.routes.{name}").router)
    for part in (videos, jobs, stream, live_page):
        app.include_router(part.router)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy"],
        )  # fmt: skip
    app.add_middleware(RequestMiddleware, service=service)
    return app


@contextlib.asynccontextmanager
async def _live(app: FastAPI) -> AsyncIterator[None]:
    """Load the models while the service is up already; a model that cannot be loaded ends it."""
    service: Service = app.state.service
    loading = asyncio.create_task(_load(service))
    try:
        yield
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        await service.jobs.close()
        service.streams.close()
        await service.engine.close()


async def _load(service: Service) -> None:
    try:
        await service.engine.start()
        service.jobs.start()
    except Exception as error:
        # Nobody waits for this task: whoever runs the service is told by the hook.
        service.fail(error)
        return
    fields = {"models": list(service.engine.models), "workers": service.settings.worker_threads}
    _log.info("ready", extra={"fields": fields})


__all__ = ["ProblemDocument", "create_app"]
