"""Whether the service lives and is ready, and its figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from mien import __version__
from mien.apps.service.docs_page import render_docs
from mien.apps.service.problems import Problem, describe_problems
from mien.apps.service.schemas import Health
from mien.apps.service.state import ServiceOf, authorize

router = APIRouter(tags=["health"])


@router.get("/", include_in_schema=False)
async def go_to_docs() -> Response:
    """Lead to the documentation."""
    return RedirectResponse("docs")


@router.get("/docs", include_in_schema=False)
async def show_docs(request: Request) -> Response:
    """The documentation: a page that needs no script and no other machine."""
    headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'", "Cache-Control": "no-cache"}
    return Response(render_docs(request.app), media_type="text/html", headers=headers)


@router.get("/healthz", responses={403: describe_problems()[403]})
async def tell_life() -> Health:
    """The process lives; a failure to answer is a reason to start it anew."""
    return Health(status="ok", version=__version__)


@router.get("/readyz", responses={403: describe_problems()[403], 503: describe_problems("not-ready")[503]})
async def tell_readiness(service: ServiceOf) -> Health:
    """The model is loaded and warm; 503 before that, and once the service is asked to stop."""
    if service.draining:
        raise Problem("not-ready", "the service is being stopped")
    if not service.engine.ready:
        raise Problem("not-ready", "the model is being loaded", headers={"Retry-After": "1"})
    return Health(status="ready", version=__version__)


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(authorize)],
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        401: describe_problems()[401],
        403: describe_problems()[403],
    },
)
async def tell_metrics(service: ServiceOf) -> Response:
    """Counters and histograms in Prometheus's text format; with API keys set, one is needed here too."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
