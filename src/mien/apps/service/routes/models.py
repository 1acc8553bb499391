"""The models that are served."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from mien.apps.service.problems import Problem, describe_problems
from mien.apps.service.schemas import ModelCard, ModelCards, describe_model
from mien.apps.service.state import GUARDS, ServiceOf
from mien.faces.detectors import DETECTORS

router = APIRouter(prefix="/v1/models", tags=["models"], dependencies=GUARDS)


@router.get("", response_model=ModelCards, responses=describe_problems("not-ready"))
async def list_models(service: ServiceOf) -> Response:
    """The models, the default first, with the scores of their manifests."""
    default = service.engine.choose_model(None)
    cards = [describe_model(model, default=model is default) for model in service.engine.models.values()]
    answer = ModelCards(models=cards, detectors=list(DETECTORS))
    return Response(answer.model_dump_json(), media_type="application/json")


@router.get("/{name}", response_model=ModelCard, responses=describe_problems("not-found", "not-ready"))
async def show_model(name: str, service: ServiceOf) -> Response:
    """One model, by `name` or `name@version`."""
    default = service.engine.choose_model(None)
    try:
        model = service.engine.choose_model(name)
    except Problem as problem:
        raise Problem("not-found", problem.detail) from problem
    card = describe_model(model, default=model is default)
    return Response(card.model_dump_json(), media_type="application/json")
