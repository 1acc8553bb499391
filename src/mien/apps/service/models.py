"""`/v1/models` and the checks for operators: health, readiness, metrics."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from starlette.responses import Response

from mien import __version__
from mien.apps.service.problems import Problem, describe_problems
from mien.apps.service.state import GUARDS, KEYS, ServiceOf, authorize
from mien.faces.detectors import DETECTORS
from mien.reading.classifier import Model

router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=GUARDS)


class Input(BaseModel):
    """The face crops that a model expects."""

    height: int
    width: int
    channels: int
    crop_scale: float


class ModelCard(BaseModel):
    """A served model: what it is, and its scores."""

    name: str
    version: str
    default: bool = Field(description="Whether it is the default model.")
    created: str
    licence: str
    parameters: int
    sha256: str = Field(description="SHA-256 of the graph.")
    input: Input
    heads: dict[str, list[str]] = Field(description="The classes of each output head.")
    default_head: str
    scores: list[dict[str, Any]] = Field(description="One object per figure, with its data set, split and rows.")
    notes: str


class ModelCards(BaseModel):
    """The models and detectors of this service."""

    models: list[ModelCard]
    detectors: list[str] = Field(description="The available detectors.")


class Health(BaseModel):
    """Whether the service is up."""

    status: str
    version: str


@router.get("", response_model=ModelCards, responses=describe_problems("not-ready"))
async def list_models(service: ServiceOf) -> Response:
    """List the models, the default first, with the scores from their manifests."""
    default = service.engine.choose_model(None)
    cards = [describe_model(model, default=model is default) for model in service.engine.models.values()]
    answer = ModelCards(models=cards, detectors=list(DETECTORS))
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/{name}", response_model=ModelCard, responses=describe_problems("not-found", "not-ready"))
async def show_model(name: str, service: ServiceOf) -> Response:
    """Show one model, by `name` or `name@version`."""
    default = service.engine.choose_model(None)
    try:
        model = service.engine.choose_model(name)
    except Problem as problem:
        # In a path an unknown name is 404; as an option of an analysis it is 422.
        raise Problem("not-found", problem.detail) from problem
    card = describe_model(model, default=model is default)
    return Response(card.model_dump_json(), media_type="application/json")


health = APIRouter(tags=["health"])


@health.get("/healthz", responses={403: describe_problems()[403]})
async def check_life() -> Health:
    """Check that the process is alive; if this fails, restart it."""
    return Health(status="ok", version=__version__)


@health.get("/readyz", responses={403: describe_problems()[403], 503: describe_problems("not-ready")[503]})
async def check_readiness(service: ServiceOf) -> Health:
    """Check that the model is loaded; 503 before that and during shutdown."""
    if service.draining:
        raise Problem("not-ready", "the service is shutting down")
    if not service.engine.ready:
        raise Problem("not-ready", "the model is loading", headers={"Retry-After": "1"})
    return Health(status="ready", version=__version__)


@health.get(
    "/metrics",
    response_class=Response,
    # The key alone: a rate limit would leave gaps in the figures.
    dependencies=[*KEYS, Depends(authorize)],
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        401: describe_problems()[401],
        403: describe_problems()[403],
    },
)
async def show_metrics(service: ServiceOf) -> Response:
    """Counters and histograms in Prometheus's text format; requires a key if API keys are set."""
    return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def describe_model(model: Model, *, default: bool) -> ModelCard:
    """A model from its manifest, without its training configuration."""
    manifest, spec = model.manifest, model.spec
    return ModelCard(
        name=manifest.name, version=manifest.version, default=default, created=manifest.created,
        licence=manifest.licence, parameters=manifest.parameters, sha256=manifest.sha256,
        input=Input(height=spec.height, width=spec.width, channels=spec.channels, crop_scale=spec.crop_scale),
        heads={name: list(labels) for name, labels in model.heads.items()}, default_head=manifest.default_head,
        scores=[dict(score) for score in manifest.scores], notes=manifest.notes,
    )  # fmt: skip
