"""`/v1/videos` and `/v1/jobs`: upload a video, poll its job, fetch its result, cancel it."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mien.apps.service.jobs_files import OUTCOME, ROWS
from mien.apps.service.jobs_reading import TooLongError, VideoOptions, check_video
from mien.apps.service.jobs_runner import full
from mien.apps.service.jobs_store import ACTIVE, Job, JobStore
from mien.apps.service.problems import Problem, ProblemDocument, describe_problems, invalid_request
from mien.apps.service.state import GUARDS, Service, ServiceOf, authorize
from mien.apps.service.uploads import BINARY, VideoUpload, describe_body, receive_video
from mien.errors import ConfigError, ImageTooLargeError, SourceError
from mien.reading.smoothing import HOLD_S, SMOOTH_S
from mien.sinks.tables import csv_text

# Starlette fetches each part of a plain iterator in a thread: large parts make fewer trips.
LINES_AT_ONCE = 200
router = APIRouter(prefix="/v1/jobs", tags=["videos"], dependencies=GUARDS)

Owner = Annotated[str | None, Depends(authorize)]
_ID = re.compile(r"[0-9a-f]{32}")
RESULT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}, "text/csv": {"schema": {"type": "string"}}}}
}
FORGOTTEN: dict[int | str, dict[str, Any]] = {
    204: {"description": "It had ended; it is forgotten, and its result deleted."}
}


class JobDocument(BaseModel):
    """A video job."""

    id: str = Field(description="Its ID, which cannot be guessed.")
    state: Literal["queued", "running", "done", "failed", "cancelled", "expired"] = Field(
        description="`queued` and `running` are temporary; the others are final."
    )
    name: str = Field(description="The file's name as uploaded.")
    progress: float = Field(description="Share of the video analyzed, 0–1; 0 while its length is unknown.")
    frames: int = Field(description="Frames analyzed so far.")
    faces: int = Field(description="Faces found in them.")
    eta_s: float | None = Field(None, description="Estimated seconds until it is done, if known.")
    ahead: int | None = Field(None, description="Jobs queued before this one, while it is queued.")
    options: dict[str, Any] = Field(description="The options of the analysis.")
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    expires: datetime | None = Field(None, description="When the result is deleted.")
    notice: str | None = Field(None, description="A remark on the result, such as that the video is truncated.")
    error: ProblemDocument | None = Field(None, description="Why it failed.")
    links: dict[str, str] = Field(description="Paths of the job and, once it is done, its result.")


def describe_job(job: Job, store: JobStore, now_s: float, base: str = "") -> JobDocument:
    """The document of a job; `base` is the path prefix of a reverse proxy."""
    eta_s = job.eta_s(now_s)
    here = f"{base}/v1/jobs/{job.id}"
    return JobDocument(
        id=job.id, state=job.state, name=job.name, progress=round(job.progress, 4), frames=job.frames,
        faces=job.faces, eta_s=None if eta_s is None else round(eta_s, 1),
        ahead=store.position(job) if job.state == "queued" else None, options=job.options,
        created=_time(job.created_s), started=_time(job.started_s), ended=_time(job.ended_s),
        expires=_time(job.expires_s), notice=job.notice,
        error=None if job.error is None else ProblemDocument.model_validate(job.error),
        links={"self": here} | ({"result": f"{here}/result"} if job.state == "done" else {}),
    )  # fmt: skip


def iter_json(store: JobStore, job: Job) -> Iterator[str]:
    """The whole result as one JSON object, streamed: the rows of a long video need not fit into memory."""
    outcome = read_outcome(store, job)
    # The outcome's closing brace follows after the rows.
    yield json.dumps(outcome, ensure_ascii=False)[:-1] + ', "rows": ['
    for number, lines in enumerate(_iter_lines(store, job)):
        yield (",\n" if number else "\n") + ",\n".join(lines)
    yield "\n]}\n"


def iter_csv(store: JobStore, job: Job) -> Iterator[str]:
    """The rows as CSV with a header line."""
    names = read_outcome(store, job)["columns"]
    yield csv_text([names])
    for lines in _iter_lines(store, job):
        yield csv_text([[row[name] for name in names] for row in map(json.loads, lines)])


def read_outcome(store: JobStore, job: Job) -> dict[str, Any]:
    """Expression intervals, summary, and the columns of the rows."""
    with store.files.open(job.id, OUTCOME) as file:
        outcome: dict[str, Any] = json.load(file)
    return outcome | {"notice": job.notice}


def _iter_lines(store: JobStore, job: Job) -> Iterator[list[str]]:
    with store.files.open(job.id, ROWS) as file:
        while lines := [line.rstrip("\n") for _, line in zip(range(LINES_AT_ONCE), file, strict=False)]:
            yield lines


def _time(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


@router.get("/{job_id}", response_model=JobDocument, responses=describe_problems("not-found"))
async def show_job(job_id: str, request: Request, owner: Owner, service: ServiceOf) -> Response:
    """Show the state of a job. Poll about once a second while it is `queued` or `running`."""
    job = await find_job(service, job_id, owner)
    return await answer_job(service, job, request)


@router.get("/{job_id}/result", responses=RESULT | describe_problems("not-found", "not-done", "job-failed", "expired"))
async def show_result(
    job_id: str,
    owner: Owner,
    service: ServiceOf,
    form: Annotated[Literal["json", "csv", "episodes"], Query(description="What to fetch, and its format.")] = "json",
) -> Response:
    """Fetch the result of a video.

    `json`: everything, with one row per frame and face, and one with `success` 0 for a frame without a face. `csv`:
    only the rows. `episodes`: each face's expression intervals and a summary, without rows.
    """
    job = await find_job(service, job_id, owner)
    check_done(job)
    store = service.jobs.store
    try:
        if form == "episodes":
            outcome = await asyncio.to_thread(read_outcome, store, job)
            return Response(json.dumps(outcome, ensure_ascii=False), media_type="application/json")
        parts: Iterator[str] = iter_csv(store, job) if form == "csv" else iter_json(store, job)
        # Read before the status is sent, so that a result deleted in between is still a 410.
        first = await asyncio.to_thread(next, parts)
    except FileNotFoundError as error:
        # Deleted since its state was checked.
        raise Problem("expired", "the result was deleted") from error
    kind = "text/csv" if form == "csv" else "application/json"
    return StreamingResponse(itertools.chain([first], parts), media_type=kind)


@router.delete("/{job_id}", response_model=JobDocument, responses=FORGOTTEN | describe_problems("not-found"))
async def end_job(job_id: str, request: Request, owner: Owner, service: ServiceOf) -> Response:
    """Cancel a queued or running job and delete its video; forget a job that has ended and delete its result."""
    job = await find_job(service, job_id, owner)
    store = service.jobs.store
    # It may have ended since it was looked up; then it is forgotten instead.
    if job.state in ACTIVE and await asyncio.to_thread(store.cancel, job):
        return await answer_job(service, await find_job(service, job_id, owner), request)
    await asyncio.to_thread(store.delete, job)
    return Response(status_code=204)


async def find_job(service: Service, job_id: str, owner: str | None) -> Job:
    """The job with this ID; a Problem if there is none, or it belongs to another owner."""
    known = _ID.fullmatch(job_id)
    job = await asyncio.to_thread(service.jobs.store.get, job_id, owner or "") if known else None
    if job is None:
        raise Problem("not-found", "no such job; jobs are forgotten some time after their result is deleted")
    return job


def check_done(job: Job) -> None:
    """Raise a Problem if the job has no result."""
    if job.state in ACTIVE:
        raise Problem(
            "not-done", f"the job is {job.state}; poll its state until it is done", headers={"Retry-After": "1"}
        )
    if job.state == "failed":
        raise Problem("job-failed", f"the job failed: {(job.error or {}).get('detail', '')}")
    if job.state == "cancelled":
        raise Problem("job-failed", "the job was cancelled")
    if job.state == "expired":
        raise Problem("expired", "the result has expired and was deleted; upload the video again")


async def answer_job(service: Service, job: Job, request: Request, *, status: int = 200) -> Response:
    """The response with a job's document."""
    # A proxy strips a prefix that clients need.
    base = request.scope.get("root_path", "")
    document = await asyncio.to_thread(describe_job, job, service.jobs.store, time.time(), base)
    headers = {"Location": document.links["self"]} if status == 202 else {}
    if job.state in ACTIVE:
        headers["Retry-After"] = "1"
    return Response(document.model_dump_json(), status, headers, "application/json")


videos = APIRouter(prefix="/v1/videos", tags=["videos"], dependencies=GUARDS)

Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class VideoQuery(BaseModel):
    """The options of a video."""

    model_config = ConfigDict(extra="forbid")

    labels: Literal["seven", "eight"] = Field("seven", description="`eight` adds contempt.")
    start_s: Seconds = Field(0.0, description="Start at this time, seconds.")
    end_s: Seconds | None = Field(None, description="Stop before this time, seconds.")
    every: int = Field(1, ge=1, le=1_000_000, description="Analyze every Nth frame.")
    rate_hz: float | None = Field(None, gt=0, le=1000, description="Most frames per second of video.")
    track: bool = Field(True, description="Track faces and smooth their probabilities.")
    smooth_s: float = Field(SMOOTH_S, ge=0, le=60, description="Time constant of the smoothing, seconds; 0 for none.")
    hold_s: float = Field(HOLD_S, ge=0, le=60, description="Seconds that another label must lead before it is shown.")
    min_confidence: float = Field(0.0, ge=0, le=1, description='Answer "not sure" if the confidence is below this.')
    min_quality: float = Field(0.0, ge=0, le=1, description='Answer "not sure" if the quality\'s score is below this.')
    geometry: bool = Field(False, description="Add landmarks, head pose and blendshapes to the rows.")
    name: str | None = Field(None, max_length=255, description="The file's name in results, if the body is the file.")

    def options(self) -> VideoOptions:
        """The options, validated together; a Problem if they contradict each other."""
        options = VideoOptions(**self.model_dump(exclude={"name"}))
        try:
            _ = options.sampling, options.stream
        except ConfigError as error:
            raise Problem("invalid-request", str(error)) from error
        return options


BODY = describe_body(
    "A video: MP4, MOV, MKV, WebM, AVI, MPEG or an animated GIF.", "video/mp4", field="file", schema=BINARY,
    form="`files` works too. Options can be form fields or in the query string.",
)  # fmt: skip
PROBLEMS = describe_problems(
    "malformed-request", "no-video", "receive-timeout", "body-too-large", "image-too-large", "unsupported-media-type",
    "not-a-video", "video-too-long", "too-many-jobs", "not-ready", "no-room",
)  # fmt: skip


@videos.post("", status_code=202, response_model=JobDocument, responses=PROBLEMS, openapi_extra=BODY)
async def submit_video(
    request: Request, query: Annotated[VideoQuery, Query()], owner: Owner, service: ServiceOf
) -> Response:
    """Upload a video and start a job; `Location` has its address.

    Send the video as a form part named `file`, or as the body. It is deleted when the job ends, its result some time
    later.
    """
    # Refused before the upload, which may take minutes; `add` checks the queue again.
    service.engine.choose_model(None)
    if await asyncio.to_thread(service.jobs.store.is_full):
        raise full()
    settings, jobs = service.settings, service.jobs
    max_bytes = int(settings.max_video_mb * 2**20)
    async with receive_video(
        request, jobs.store.incoming, max_bytes=max_bytes, timeout_s=settings.video_receive_timeout_s
    ) as upload:
        options = _merge(request, query, upload).options()
        request.state.received = upload.size_bytes
        service.metrics.received.inc(upload.size_bytes)
        await _look(service, upload, options)
        job = await asyncio.to_thread(jobs.add, upload.path, upload.name, options, owner)
    return await answer_job(service, job, request, status=202)


def _merge(request: Request, query: VideoQuery, upload: VideoUpload) -> VideoQuery:
    """The options from the query string, overridden by form fields."""
    if not upload.fields:
        return query
    try:
        # Validated together: an option of the form may contradict one of the address.
        return VideoQuery.model_validate(dict(request.query_params) | upload.fields)
    except ValidationError as error:
        raise invalid_request(error.errors(), "body.") from error


async def _look(service: Service, upload: VideoUpload, options: VideoOptions) -> None:
    """Refuse what is not a video before it becomes a job."""
    try:
        # Opening a video decodes its first frame, so no more are opened than analyzed at the same time.
        async with service.jobs.looking:
            await asyncio.to_thread(check_video, upload.path, upload.name, options, service.jobs.limits)
    except TooLongError as error:
        raise Problem("video-too-long", str(error)) from error
    except ImageTooLargeError as error:
        raise Problem("image-too-large", str(error).replace("; raise max_pixels to read it", "")) from error
    except SourceError as error:
        raise Problem("not-a-video", str(error)) from error
