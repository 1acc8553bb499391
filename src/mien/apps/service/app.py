"""The application: settings in, FastAPI out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from mien import __version__
from mien.apps.service import analyze, jobs, models, pages, reading_page, stream
from mien.apps.service.metrics import LOGGER
from mien.apps.service.middleware import RequestMiddleware
from mien.apps.service.problems import ProblemDocument, add_handlers
from mien.apps.service.settings import Settings
from mien.apps.service.state import Service

ROUTERS = (
    analyze.router, jobs.videos, jobs.router, stream.router, models.router, models.health, reading_page.router,
    pages.router,
)  # fmt: skip
"""In the order of the documentation."""

TAGS = [
    {"name": "images", "description": "Faces and their expressions in images."},
    {"name": "videos", "description": "Videos as jobs: upload, poll, fetch the result, delete."},
    {"name": "models", "description": "The available models and their scores."},
    {"name": "health", "description": "For operators."},
]
DESCRIPTION = """Estimates facial expressions in images and videos: what a face shows, not what a person feels.

Uploads are not stored or logged, except a video until its job ends and its result for a limited time. The WebSocket
`/v1/stream` analyzes camera frames live; the page `/live` uses it. Errors are
[RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) problem documents; `type` identifies the kind.
"""

_log = logging.getLogger(LOGGER)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service as an ASGI application; `app.state.service` is what its routes share.

    The model is loaded after the application has started; `/readyz` reports when it is ready.
    """
    settings = settings or Settings()
    service = Service(settings)
    app = FastAPI(
        title="Mien", version=__version__, description=DESCRIPTION, openapi_tags=TAGS, lifespan=_live,
        # FastAPI's own pages load scripts from elsewhere; `pages` has the documentation.
        root_path=settings.root_path, docs_url=None, redoc_url=None,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )  # fmt: skip
    app.state.service = service
    add_handlers(app, [route for router in ROUTERS for route in router.routes])
    for router in ROUTERS:
        app.include_router(router)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-Id"],
            expose_headers=["X-Request-Id", "Retry-After", "RateLimit", "RateLimit-Policy"],
        )  # fmt: skip
    # Added last, it is the outermost: what CORS answers by itself is checked and logged too.
    app.add_middleware(RequestMiddleware, service=service)
    return app


@contextlib.asynccontextmanager
async def _live(app: FastAPI) -> AsyncIterator[None]:
    """Load the models while the service already answers; if that fails, the service stops."""
    service: Service = app.state.service
    # Not awaited: `/healthz` answers from the start, and orchestrators restart what does not.
    loading = asyncio.create_task(_load(service))
    try:
        yield
    finally:
        loading.cancel()
        await asyncio.gather(loading, return_exceptions=True)
        # The engine ends last: jobs and streams use its models.
        await service.jobs.close()
        service.streams.close()
        await service.engine.close()


async def _load(service: Service) -> None:
    try:
        await service.engine.start()
        service.jobs.start()
    except Exception as error:
        # Nothing awaits this task, so a hook tells the server.
        service.fail(error)
        return
    fields = {"models": list(service.engine.models), "workers": service.settings.worker_threads}
    _log.info("ready", extra={"fields": fields})


__all__ = ["ProblemDocument", "create_app"]
