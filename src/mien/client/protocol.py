"""What a client asks and how it reads the answers, without a connection, so that both clients share all of it.

Each exchange is a generator: it yields a request or a pause, is sent the answer or the exception that came instead, and
returns the result. The clients run it.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from mien.client.images import Upload
from mien.client.results import (
    ConnectionFailedError,
    ImageResult,
    InvalidRequestError,
    JobFailedError,
    JobStatus,
    ModelInfo,
    TooLargeError,
    WaitedTooLongError,
    from_document,
)
from mien.errors import SourceError

if TYPE_CHECKING:
    import httpx

BUSY = frozenset([429, 503])
FIRST_WAIT_S = 0.5
POLL_S = (0.2, 0.5, 1.0, 2.0)
"""Pauses between two polls of a job; the last one repeats."""
# Problems of an image; all others concern the request as a whole.
UNREADABLE = ("not-an-image", "damaged-image", "image-too-large", "no-image")


@dataclass(frozen=True)
class Pause:
    """A wait."""

    seconds: float


Request = dict[str, Any]
"""The arguments of httpx's `request`."""
Result = TypeVar("Result")
Exchange = Generator[Request | Pause, Any, Result]


@dataclass(frozen=True)
class Protocol:
    """The exchanges with one service.

    Args:
        base_url: the service's address, for messages.
        retries: how often a request is repeated when the service is busy (429, 503) or, if it changes nothing, cannot
            be reached.
        max_wait_s: longest pause before a retry; if the service asks for more, the request fails at once.
    """

    base_url: str
    retries: int
    max_wait_s: float

    def request(self, method: str, path: str, **arguments: Any) -> Exchange[httpx.Response]:
        """The answer to a request; the path is relative to the service's address.

        Raises:
            ServiceError: of the class that fits the problem document.
            ConnectionFailedError: no answer, or one that is not the service's.
        """
        attempt = 0
        while True:
            came = yield {"method": method, "url": path, **arguments}
            answer: httpx.Response | None = None if isinstance(came, Exception) else came
            if answer is not None and answer.status_code < 400:
                return answer
            wait_s = self._wait_s(answer, attempt)
            # A POST whose answer was lost may have been carried out, so only a GET is repeated then.
            may_retry = answer.status_code in BUSY if answer is not None else method == "GET"
            if not may_retry or attempt >= self.retries or wait_s > self.max_wait_s:
                if answer is None:
                    raise ConnectionFailedError(f"no answer from {self.base_url}: {came}") from came
                raise from_document(self._read_problem(answer))
            attempt += 1
            yield Pause(wait_s)

    def analyze(self, uploads: Sequence[Upload], options: dict[str, Any]) -> Exchange[list[ImageResult]]:
        """The faces of the images of one request."""
        # Folders stay on this computer: the service gets the file's own name.
        files = [("files", (Path(upload.name).name, upload.data)) for upload in uploads]
        try:
            answer = (yield from self.request("POST", "v1/analyze", files=files, params=_plain(options))).json()
        except (InvalidRequestError, TooLargeError) as error:
            if error.kind not in UNREADABLE:
                raise
            if len(uploads) == 1:
                return [ImageResult(uploads[0].name, (), error=error)]
            # The service refuses a request as a whole if none of its images can be read.
            apart = []
            for upload in uploads:
                apart += yield from self.analyze([upload], options)
            return apart
        pairs = zip(uploads, answer["images"], strict=True)
        return [ImageResult.from_dict(upload.name, image, answer) for upload, image in pairs]

    def models(self) -> Exchange[list[ModelInfo]]:
        """The models that the service offers, the default first."""
        answer = yield from self.request("GET", "v1/models")
        return [ModelInfo.from_dict(model) for model in answer.json()["models"]]

    def submit_video(
        self, video: str | os.PathLike[str] | bytes, name: str | None, options: dict[str, Any]
    ) -> Exchange[JobStatus]:
        """A new job; httpx rewinds the file before each retry."""
        shown = name or ("video" if isinstance(video, bytes) else Path(video).name)
        with _open(video) as content:
            files = {"file": (shown, content)}
            answer = yield from self.request("POST", "v1/videos", files=files, params=_plain(options))
        return JobStatus.from_dict(answer.json())

    def job(self, job_id: str) -> Exchange[JobStatus]:
        """The state of a job."""
        return JobStatus.from_dict((yield from self.request("GET", f"v1/jobs/{job_id}")).json())

    def wait(
        self, job_id: str, on_progress: Callable[[JobStatus], object], timeout_s: float | None
    ) -> Exchange[JobStatus]:
        """The state of a job once it is done; `on_progress` is called after each poll.

        Raises:
            JobFailedError: it failed, was cancelled, or its result was deleted.
            WaitedTooLongError: it is not done in time.
        """
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        polls = 0
        while True:
            status = yield from self.job(job_id)
            on_progress(status)
            # Before the deadline: a job that is done counts, however late.
            if status.is_over:
                break
            if deadline_s is not None and time.monotonic() >= deadline_s:
                raise WaitedTooLongError(f"job {job_id} is still {status.state} after {timeout_s:g} s; it keeps going")
            yield Pause(POLL_S[min(polls, len(POLL_S) - 1)])
            polls += 1
        if status.state == "done":
            return status
        if (error := status.error) is not None:
            raise JobFailedError(error.kind, error.title, error.detail, status=error.status)
        raise JobFailedError("job-failed", "The job ended without a result", f"it is {status.state}", status=409)

    def result(self, job_id: str, form: str) -> Exchange[httpx.Response]:
        """The result of a job in one of its forms."""
        return (yield from self.request("GET", f"v1/jobs/{job_id}/result", params={"form": form}))

    def cancel(self, job_id: str) -> Exchange[JobStatus | None]:
        """Stop a job; its state afterwards, None if the service forgot it."""
        answer = yield from self.request("DELETE", f"v1/jobs/{job_id}")
        # 204: the job had ended, and there is no state left.
        return JobStatus.from_dict(answer.json()) if answer.status_code == 200 else None

    def _wait_s(self, answer: httpx.Response | None, attempt: int) -> float:
        """What the service asks for, at least a growing pause; random, so that clients do not retry in step."""
        # Random, or clients refused together would come back together.
        own_s = min(FIRST_WAIT_S * float(2**attempt) * random.uniform(0.75, 1.25), self.max_wait_s)
        asked = str(answer.headers.get("retry-after", "")) if answer is not None else ""
        # A date, the other form of the header, is not what this service sends.
        return max(float(asked), own_s) if asked.isdecimal() else own_s

    def _read_problem(self, answer: httpx.Response) -> dict[str, Any]:
        kind = answer.headers.get("content-type", "")
        # A proxy in between, or another program on this port.
        if not kind.startswith("application/problem+json"):
            raise ConnectionFailedError(
                f"{self.base_url} answers {answer.status_code} with {kind or 'no content type'}; Mien's service does "
                "not: is the address right?"
            )
        return dict(answer.json())


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as query parameters; None leaves one to the service."""
    return {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in options.items()
        if value is not None
    }


def _open(video: str | os.PathLike[str] | bytes) -> AbstractContextManager[IO[bytes] | bytes]:
    if isinstance(video, bytes):
        return nullcontext(video)
    try:
        return Path(video).open("rb")
    except OSError as error:
        raise SourceError(f"{os.fspath(video)}: cannot be read: {error.strerror or error}") from error
