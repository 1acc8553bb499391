"""What a client asks and how it understands the answers, without a connection, so that both clients share all of it.

Each exchange is a generator: it yields what is to be sent, or a pause, is given the answer or why there is none, and
returns what came of it. A connection runs it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from mien.client.pictures import Upload
from mien.client.problems import (
    ConnectionFailedError,
    InvalidRequestError,
    JobFailedError,
    TooLargeError,
    WaitedTooLongError,
    from_document,
)
from mien.client.results import JobStatus, ModelInfo, PictureResult
from mien.errors import SourceError

if TYPE_CHECKING:
    import httpx

BUSY = frozenset([429, 503])
FIRST_WAIT_S = 0.5
POLL_S = (0.2, 0.5, 1.0, 2.0)
"""Pauses between two questions after a job; the last one goes on."""
UNREADABLE = ("not-a-picture", "damaged-picture", "picture-too-large", "no-picture")


@dataclass(frozen=True)
class Send:
    """A request: what httpx's `request` takes."""

    method: str
    path: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Pause:
    """A wait."""

    seconds: float


Result = TypeVar("Result")
Exchange = Generator[Send | Pause, Any, Result]


@dataclass(frozen=True)
class Dialogue:
    """The exchanges with one service.

    Args:
        base_url: the service's address, as messages call it.
        retries: how often a request is tried again when the service is busy (429, 503) or, where it changes nothing,
            cannot be reached.
        max_wait_s: longest pause before trying again; a service that asks for more is not asked again.
    """

    base_url: str
    retries: int
    max_wait_s: float

    def request(self, method: str, path: str, fresh: Callable[[], dict[str, Any]] = dict) -> Exchange[httpx.Response]:
        """The answer to a request that the service fulfils.

        Args:
            method, path: of the request; the path below the service's address.
            fresh: gives httpx's arguments (`params`, `files`, …) anew for each try.

        Raises:
            ServiceError: of the kind that its problem document says.
            ConnectionFailedError: no answer, or one of something else.
        """
        attempt = 0
        while True:
            came = yield Send(method, path.lstrip("/"), fresh())
            failure = came if isinstance(came, Exception) else None
            answer: httpx.Response | None = None if failure else came
            if answer is not None and answer.status_code < 400:
                return answer
            wait_s = self._wait_s(answer, attempt)
            may_retry = answer.status_code in BUSY if answer is not None else method == "GET"
            if not may_retry or attempt >= self.retries or wait_s > self.max_wait_s:
                if answer is None:
                    raise ConnectionFailedError(f"no answer from {self.base_url}: {failure}") from failure
                raise from_document(self._read_problem(answer))
            attempt += 1
            yield Pause(wait_s)

    def analyze(self, uploads: Sequence[Upload], options: dict[str, Any]) -> Exchange[list[PictureResult]]:
        """The faces of the pictures of one request."""
        files = [("files", (Path(upload.name).name, upload.data)) for upload in uploads]
        fresh: Callable[[], dict[str, Any]] = lambda: {"files": files, "params": _plain(options)}  # noqa: E731
        try:
            answer = (yield from self.request("POST", "v1/analyze", fresh)).json()
        except (InvalidRequestError, TooLargeError) as error:
            if error.kind not in UNREADABLE:
                raise
            if len(uploads) == 1:
                return [PictureResult(uploads[0].name, (), error=error)]
            # The service refuses as a whole a request in which no picture can be read.
            apart = []
            for upload in uploads:
                apart += yield from self.analyze([upload], options)
            return apart
        pairs = zip(uploads, answer["pictures"], strict=True)
        return [PictureResult.from_dict(upload.name, picture, answer) for upload, picture in pairs]

    def models(self) -> Exchange[list[ModelInfo]]:
        """The models that the service reads with, the default first."""
        answer = yield from self.request("GET", "v1/models")
        return [ModelInfo.from_dict(model) for model in answer.json()["models"]]

    def submit_video(
        self, video: str | os.PathLike[str] | bytes, name: str | None, options: dict[str, Any]
    ) -> Exchange[JobStatus]:
        """A new job; the file is opened anew for each try."""
        shown = name or ("video" if isinstance(video, bytes) else Path(video).name)
        opened: list[IO[bytes]] = []

        def fresh() -> dict[str, Any]:
            for file in opened:
                file.close()
            content: Any = video if isinstance(video, bytes) else _open(video)
            if not isinstance(video, bytes):
                opened.append(content)
            return {"files": {"file": (shown, content)}, "params": _plain(options)}

        try:
            answer = yield from self.request("POST", "v1/videos", fresh)
        finally:
            for file in opened:
                file.close()
        return JobStatus.from_dict(answer.json())

    def job(self, job_id: str) -> Exchange[JobStatus]:
        """How a job stands."""
        return JobStatus.from_dict((yield from self.request("GET", f"v1/jobs/{job_id}")).json())

    def wait(self, job_id: str, told: Callable[[JobStatus], object], timeout_s: float | None) -> Exchange[JobStatus]:
        """How a job stands when it is done; `told` is called each time that it is asked after.

        Raises:
            JobFailedError: it failed, was cancelled, or its result was deleted.
            WaitedTooLongError: it is not done in time.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        asked = 0
        while True:
            status = yield from self.job(job_id)
            told(status)
            if status.is_over:
                break
            if deadline_s is not None and time.monotonic() >= deadline_s:
                raise WaitedTooLongError(f"job {job_id} is {status.state} after {timeout_s:g} s; it goes on")
            yield Pause(POLL_S[min(asked, len(POLL_S) - 1)])
            asked += 1
        if status.state != "done":
            raise _failure(status)
        return status

    def result(self, job_id: str, form: str) -> Exchange[httpx.Response]:
        """The result of a job in one of its forms."""
        fresh: Callable[[], dict[str, Any]] = lambda: {"params": {"form": form}}  # noqa: E731
        return (yield from self.request("GET", f"v1/jobs/{job_id}/result", fresh))

    def cancel(self, job_id: str) -> Exchange[JobStatus | None]:
        """End a job; how it stands then, None where it is forgotten."""
        answer = yield from self.request("DELETE", f"v1/jobs/{job_id}")
        return JobStatus.from_dict(answer.json()) if answer.status_code == 200 else None

    def _wait_s(self, answer: httpx.Response | None, attempt: int) -> float:
        """What the service asks for, at least a growing pause; by chance, so that clients do not march in step."""
        own_s = min(FIRST_WAIT_S * float(2**attempt) * random.uniform(0.75, 1.25), self.max_wait_s)
        asked = str(answer.headers.get("retry-after", "")) if answer is not None else ""
        return max(float(asked), own_s) if asked.isdecimal() else own_s

    def _read_problem(self, answer: httpx.Response) -> dict[str, Any]:
        kind = answer.headers.get("content-type", "")
        if not kind.startswith("application/problem+json"):
            raise ConnectionFailedError(
                f"{self.base_url} answers {answer.status_code} with {kind or 'no type'}, which is not how Mien's "
                "service answers: is the address right?"
            )
        return dict(answer.json())


def _failure(status: JobStatus) -> JobFailedError:
    error = status.error
    if error is not None:
        return JobFailedError(error.kind, error.title, error.detail, status=error.status)
    return JobFailedError("job-failed", "The job ended without a result", f"it is {status.state}", status=409)


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as an address takes them; None leaves one to the service."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in options.items()
        if value is not None
    }


def _open(path: str | os.PathLike[str]) -> IO[bytes]:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise SourceError(f"{os.fspath(path)}: cannot be read: {error.strerror or error}") from error
