"""`/v1/jobs`: how far a video is, its result, and an end to it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mien.apps.service.jobs_documents import JobDocument, describe_job, iter_csv, iter_json, read_outcome
from mien.apps.service.jobs_store import ACTIVE, Job
from mien.apps.service.problems import Problem, describe_problems
from mien.apps.service.state import GUARDS, Service, ServiceOf, authorize

router = APIRouter(prefix="/v1/jobs", tags=["videos"], dependencies=GUARDS)

Owner = Annotated[str | None, Depends(authorize)]
_ID = re.compile(r"[0-9a-f]{32}")
RESULT: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/json": {"schema": {"type": "object"}}, "text/csv": {"schema": {"type": "string"}}}}
}
FORGOTTEN: dict[int | str, dict[str, Any]] = {
    204: {"description": "It had ended; its result is deleted and it is forgotten."}
}


@router.get("/{job_id}", response_model=JobDocument, responses=describe_problems("not-found"))
async def show_job(job_id: str, request: Request, owner: Owner, service: ServiceOf) -> Response:
    """How a job stands. Ask again after a second or so while it is `queued` or `running`."""
    job = await find_job(service, job_id, owner)
    return await answer_job(service, job, request)


@router.get("/{job_id}/result", responses=RESULT | describe_problems("not-found", "not-done", "job-failed", "expired"))
async def show_result(
    job_id: str,
    owner: Owner,
    service: ServiceOf,
    form: Annotated[Literal["json", "csv", "episodes"], Query(description="What is wanted of the result.")] = "json",
) -> Response:
    """What came of a video.

    `json`: everything, with one row a frame and face, and one with `success` 0 for a frame without a face. `csv`: the
    rows alone. `episodes`: the stretches of time in which a face showed one expression, and a summary, without rows.
    """
    job = await find_job(service, job_id, owner)
    check_done(job)
    store = service.jobs.store
    try:
        if form == "episodes":
            outcome = await asyncio.to_thread(read_outcome, store, job)
            return Response(json.dumps(outcome, ensure_ascii=False), media_type="application/json")
        parts: Iterator[str] = iter_csv(store, job) if form == "csv" else iter_json(store, job)
        first = await asyncio.to_thread(next, parts)
    except FileNotFoundError as error:
        # Deleted between the look at its state and this.
        raise Problem("expired", "the result was deleted") from error
    kind = "text/csv; charset=utf-8" if form == "csv" else "application/json"
    return StreamingResponse(_chain(first, parts), media_type=kind)


@router.delete(
    "/{job_id}",
    response_model=JobDocument,
    responses=FORGOTTEN | describe_problems("not-found"),
)
async def end_job(job_id: str, request: Request, owner: Owner, service: ServiceOf) -> Response:
    """Cancel a job that waits or runs, which deletes its video; forget one that ended, and delete its result."""
    job = await find_job(service, job_id, owner)
    store = service.jobs.store
    if job.state in ACTIVE and await asyncio.to_thread(store.cancel, job):
        return await answer_job(service, await find_job(service, job_id, owner), request)
    job = await find_job(service, job_id, owner)
    if job.state == "cancelled":
        return await answer_job(service, job, request)
    await asyncio.to_thread(store.delete, job)
    return Response(status_code=204)


async def find_job(service: Service, job_id: str, owner: str | None) -> Job:
    """The job of that number, if it is this owner's.

    Raises:
        Problem: there is none.
    """
    known = _ID.fullmatch(job_id)
    job = await asyncio.to_thread(service.jobs.store.get, job_id, owner or "") if known else None
    if job is None:
        raise Problem("not-found", "there is no such job; a job is forgotten some time after its result was deleted")
    return job


def check_done(job: Job) -> None:
    """Raise the problem that stands between a client and a result."""
    if job.state in ACTIVE:
        raise Problem(
            "not-done", f"the job is {job.state}; ask for its state until it is done", headers={"Retry-After": "1"}
        )
    if job.state == "failed":
        told = (job.error or {}).get("detail", "")
        raise Problem("job-failed", f"the job has no result, it failed: {told}")
    if job.state == "cancelled":
        raise Problem("job-failed", "the job has no result, it was cancelled")
    if job.state == "expired":
        raise Problem("expired", "the result was kept for its time and is deleted; send the video again")


async def answer_job(service: Service, job: Job, request: Request, *, status: int = 200) -> Response:
    """A job's document, with its address."""
    base = request.scope.get("root_path", "")
    told = await asyncio.to_thread(describe_job, job, service.jobs.store, time.time(), base)
    headers = {"Location": told.links["self"]} if status == 202 else {}
    if job.state in ACTIVE:
        headers["Retry-After"] = "1"
    return Response(told.model_dump_json(), status, headers, "application/json")


def _chain(first: str, parts: Iterator[str]) -> Iterator[str]:
    yield first
    yield from parts
