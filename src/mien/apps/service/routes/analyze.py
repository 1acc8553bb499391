"""Pictures to faces with expressions."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from mien.apps.service.engine import Reading, Wishes
from mien.apps.service.problems import Problem, describe_problems, problem_of
from mien.apps.service.receiving import Upload, read_uploads
from mien.apps.service.schemas import Analysis, PictureReading, read_picture
from mien.apps.service.state import GUARDS, Service, ServiceOf, unless_gone
from mien.errors import SourceError
from mien.labels import user_labels

router = APIRouter(prefix="/v1", tags=["pictures"], dependencies=GUARDS)


class AnalyzeQuery(BaseModel):
    """The options of reading pictures."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = Field(None, description="A served model, `name` or `name@version`; the default one otherwise.")
    detector: Literal["auto", "mien", "yunet", "haar", "none"] | None = Field(
        None, description="How faces are found; `none` takes each picture for one face."
    )
    labels: Literal["seven", "eight"] = Field("seven", description="`eight` has contempt.")
    head: str | None = Field(None, description="Which of the model's heads speaks.")
    min_confidence: float = Field(0.0, ge=0, le=1, description="Abstain where the probability is below this.")
    max_faces: int | None = Field(None, ge=1, description="Most faces of a picture, the surest first.")
    boxes_only: bool = Field(False, description="Find faces without reading their expressions.")


_BINARY = {"type": "string", "format": "binary"}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Pictures: JPEG, PNG, WebP, BMP, TIFF or GIF (of an animation, the first frame).",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {"files": {"type": "array", "minItems": 1, "items": _BINARY}},
                }
            },
            "image/jpeg": {"schema": _BINARY},
            "image/png": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
        },
    }
}
PROBLEMS = describe_problems(
    "malformed-request", "no-picture", "receive-timeout", "body-too-large", "picture-too-large", "too-many-pictures",
    "unsupported-media-type", "unknown-model", "not-a-picture", "damaged-picture", "overloaded", "not-ready", "timeout",
)  # fmt: skip


@router.post("/analyze", response_model=Analysis, responses=PROBLEMS, openapi_extra=BODY)
async def analyze(request: Request, query: Annotated[AnalyzeQuery, Query()], service: ServiceOf) -> Response:
    """Read the expressions of the faces in one or several pictures.

    Send them as parts named `files` of a multipart form, or one as the body itself. A picture that cannot be read
    hinders no other: it has an `error` in the answer; if none can be read, the answer is the first one's problem.
    """
    wishes = Wishes(**query.model_dump())
    service.engine.choose_model(wishes.model).choose_head(wishes.head)
    with service.admission.memory() as memory:
        uploads = await read_uploads(request, service.settings, memory)
        started = time.perf_counter()
        service.metrics.received.inc(memory.held)
        request.state.received = memory.held
        with service.admission.pictures(len(uploads)):
            readings = await unless_gone(request, _read_all(service, uploads, wishes))
    answer = _answer(service, wishes, uploads, readings)
    answer.seconds = round(time.perf_counter() - started, 4)
    request.state.faces = sum(len(picture.faces) for picture in answer.pictures)
    return Response(answer.model_dump_json(), media_type="application/json")


async def _read_all(service: Service, uploads: list[Upload], wishes: Wishes) -> list[Reading | Problem]:
    """What came of each picture, in order.

    Raises:
        Problem: it took too long.
    """
    timeout_s = service.settings.request_timeout_s
    try:
        async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_read_one(service, upload, wishes, f"picture {index}"))
                for index, upload in enumerate(uploads)
            ]
    except TimeoutError as error:
        raise Problem("timeout", f"not read after {timeout_s:g} s: send fewer or smaller pictures") from error
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _read_one(service: Service, upload: Upload, wishes: Wishes, name: str) -> Reading | Problem:
    pictures = service.metrics.pictures
    try:
        reading = await service.engine.read(upload.data, wishes, name=name)
    except (SourceError, Problem) as error:
        problem = problem_of(error)
        pictures.labels(problem.kind).inc()
        return problem
    pictures.labels("read").inc()
    return reading


def _answer(service: Service, wishes: Wishes, uploads: list[Upload], readings: list[Reading | Problem]) -> Analysis:
    model = service.engine.choose_model(wishes.model)
    done = [reading for reading in readings if isinstance(reading, Reading)]
    if not done and isinstance(first := readings[0], Problem):
        raise first
    return Analysis(
        pictures=[_describe(*entry, wishes) for entry in zip(range(len(uploads)), uploads, readings, strict=True)],
        model=model.title,
        detector=done[0].detector,
        labels=list(user_labels(wishes.labels)),
        seconds=0.0,
    )


def _describe(source: int, upload: Upload, reading: Reading | Problem, wishes: Wishes) -> PictureReading:
    if isinstance(reading, Reading):
        return read_picture(source, upload.name, reading, boxes_only=wishes.boxes_only)
    return PictureReading(
        source=source, name=upload.name, width=None, height=None, faces=[], seconds={}, error=reading.document()
    )
