"""`/v1/videos`: a video in, a job out."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from mien.apps.service.jobs import Owner, answer_job
from mien.apps.service.jobs_documents import JobDocument
from mien.apps.service.jobs_reading import TooLongError, VideoOptions, check_video
from mien.apps.service.jobs_service import full
from mien.apps.service.problems import Problem, describe_problems
from mien.apps.service.state import GUARDS, Service, ServiceOf
from mien.apps.service.videos_upload import Upload, receive
from mien.errors import ConfigError, ImageTooLargeError, SourceError

router = APIRouter(prefix="/v1/videos", tags=["videos"], dependencies=GUARDS)

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class VideoQuery(BaseModel):
    """The options of reading a video."""

    model_config = ConfigDict(extra="forbid")

    labels: Literal["seven", "eight"] = Field("seven", description="`eight` has contempt.")
    start_s: Seconds = Field(0.0, description="Frames before it are left out, seconds.")
    end_s: Seconds | None = Field(None, description="Frames from it on are left out.")
    every: int = Field(1, ge=1, le=1_000_000, description="Each n-th frame.")
    rate_hz: float | None = Field(None, gt=0, le=1000, description="At most so many frames a second of video.")
    track: bool = Field(True, description="Follow faces and smooth what they show.")
    smooth_s: float = Field(0.3, ge=0, le=60, description="Time constant of the smoothing, seconds; 0 for none.")
    hold_s: float = Field(0.15, ge=0, le=60, description="How long another label must lead before it is shown.")
    min_confidence: float = Field(0.0, ge=0, le=1, description="Abstain where the probability is below this.")
    name: str | None = Field(
        None, max_length=255, description="The file's name in results, where the body is the file."
    )

    def options(self) -> VideoOptions:
        """Checked together.

        Raises:
            Problem: they contradict one another.
        """
        options = VideoOptions(**self.model_dump(exclude={"name"}))
        try:
            _ = options.sampling, options.stream
        except ConfigError as error:
            raise Problem("invalid-request", str(error)) from error
        return options


_BINARY = {"type": "string", "format": "binary"}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "A video: MP4, MOV, MKV, WebM, AVI, MPEG or an animated GIF.",
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": _BINARY},
                    "description": "Options may stand in fields of the form as well as in the address.",
                }
            },
            "video/mp4": {"schema": _BINARY},
            "application/octet-stream": {"schema": _BINARY},
        },
    }
}
PROBLEMS = describe_problems(
    "malformed-request", "no-video", "receive-timeout", "body-too-large", "picture-too-large", "unsupported-media-type",
    "not-a-video", "video-too-long", "too-many-jobs", "not-ready", "no-room",
)  # fmt: skip


@router.post("", status_code=202, response_model=JobDocument, responses=PROBLEMS, openapi_extra=BODY)
async def submit_video(
    request: Request, query: Annotated[VideoQuery, Query()], owner: Owner, service: ServiceOf
) -> Response:
    """Take a video and read it as a job, whose address is in `Location`.

    Send it as the part `file` of a multipart form, or as the body itself. It is deleted when the job ends, its result
    some time later.
    """
    service.engine.choose_model(None)
    if await asyncio.to_thread(service.jobs.store.is_full):
        raise full()
    settings, jobs = service.settings, service.jobs
    max_bytes = int(settings.max_video_mb * 2**20)
    async with receive(
        request, jobs.store.incoming, max_bytes=max_bytes, timeout_s=settings.video_receive_timeout_s
    ) as upload:
        options = _merge(request, query, upload).options()
        request.state.received = upload.size_bytes
        service.metrics.received.inc(upload.size_bytes)
        await _look(service, upload, options)
        job = await asyncio.to_thread(jobs.add, upload.path, upload.name, options, owner)
    return await answer_job(service, job, request, status=202)


def _merge(request: Request, query: VideoQuery, upload: Upload) -> VideoQuery:
    """The options of the address, over them those of the form's fields."""
    if not upload.fields:
        return query
    try:
        return VideoQuery.model_validate(dict(request.query_params) | upload.fields)
    except ValidationError as error:
        errors = [{"in": f"body.{'.'.join(map(str, e['loc']))}", "message": e["msg"]} for e in error.errors()]
        detail = "; ".join(f"{entry['in']}: {entry['message']}" for entry in errors[:3])
        raise Problem("invalid-request", detail, errors=errors) from error


async def _look(service: Service, upload: Upload, options: VideoOptions) -> None:
    """Refuse what is no video before it becomes a job."""
    try:
        async with service.jobs.looking:
            await asyncio.to_thread(check_video, upload.path, upload.name, options, service.jobs.limits)
    except TooLongError as error:
        raise Problem("video-too-long", str(error)) from error
    except ImageTooLargeError as error:
        raise Problem("picture-too-large", str(error).replace("; raise max_pixels to read it", "")) from error
    except SourceError as error:
        raise Problem("not-a-video", str(error)) from error
