"""Jobs and results as clients read them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from mien.apps.service.jobs_store import OUTCOME, ROWS, Job, JobStore
from mien.apps.service.problems import ProblemDocument
from mien.sinks.tables import csv_text

LINES_AT_ONCE = 200


class JobDocument(BaseModel):
    """A video job."""

    id: str = Field(description="Its number, which cannot be guessed.")
    state: Literal["queued", "running", "done", "failed", "cancelled", "expired"] = Field(
        description="`queued` and `running` go on; the others stay."
    )
    name: str = Field(description="The file's name as it was sent.")
    progress: float = Field(description="How much of the video is read, 0–1; 0 while its length is unknown.")
    frames: int = Field(description="Frames read so far.")
    faces: int = Field(description="Faces in them.")
    eta_s: float | None = Field(None, description="Seconds until it should be done, where that can be told.")
    ahead: int | None = Field(None, description="Jobs that wait before this one, while it waits itself.")
    options: dict[str, Any] = Field(description="How the video is read.")
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    expires: datetime | None = Field(None, description="When the result is deleted.")
    notice: str | None = Field(
        None, description="What is to be said about the result, such as a video that breaks off."
    )
    error: ProblemDocument | None = Field(None, description="Why it failed.")
    links: dict[str, str] = Field(description="Paths of the job and, once it is done, of its result.")


def describe_job(job: Job, store: JobStore, now_s: float, base: str = "") -> JobDocument:
    """A job as it stands; `base` is the path prefix of a proxy in front."""
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
    """The whole result as one JSON object, its rows one by one: a long video's need not fit into memory."""
    outcome = read_outcome(store, job)
    yield json.dumps(outcome, ensure_ascii=False)[:-1] + ', "rows": ['
    for number, lines in enumerate(_iter_lines(store, job)):
        yield (",\n" if number else "\n") + ",\n".join(lines)
    yield "\n]}\n"


def iter_csv(store: JobStore, job: Job) -> Iterator[str]:
    """The rows as CSV, a line of names first."""
    names = read_outcome(store, job)["columns"]
    yield csv_text([names])
    for lines in _iter_lines(store, job):
        yield csv_text([[row[name] for name in names] for row in map(json.loads, lines)])


def read_outcome(store: JobStore, job: Job) -> dict[str, Any]:
    """Episodes, summary, and what the rows mean."""
    outcome: dict[str, Any] = json.loads(store.path(job.id, OUTCOME).read_bytes())
    return outcome | {"notice": job.notice}


def _iter_lines(store: JobStore, job: Job) -> Iterator[list[str]]:
    with store.path(job.id, ROWS).open(encoding="utf-8") as file:
        while lines := [line.rstrip("\n") for _, line in zip(range(LINES_AT_ONCE), file, strict=False)]:
            yield lines


def _time(seconds: float | None) -> Any:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
