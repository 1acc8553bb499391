"""The client: pictures and videos to a service, typed results back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from mien.client.connection import Connection
from mien.client.jobs import Job
from mien.client.pictures import Picture, Upload, as_list, open_picture
from mien.client.problems import InvalidRequestError, TooLargeError
from mien.client.results import JobStatus, ModelInfo, PictureResult
from mien.closing import Closing
from mien.errors import SourceError

TOGETHER = 8
TOGETHER_BYTES = 16 * 2**20
"""Pictures of one request: so many, but no more than make so many bytes."""
UNREADABLE = ("not-a-picture", "damaged-picture", "picture-too-large", "no-picture")


class Client(Closing):
    """Talks to one service; use it in a `with`. Not for several threads at once.

    Args:
        base_url: the service's address, such as `http://127.0.0.1:8000`.
        api_key: a key, where the service asks for one.
        timeout: longest wait for an answer, seconds.
        retries: how often a request is tried again when the service is busy, after the wait that it asks for.
        max_wait: longest of these waits, seconds.
        transport: httpx's, in place of the network; for tests.

    Raises:
        MissingExtraError: httpx is not installed.
    """

    def __init__(
        self, base_url: str = "http://127.0.0.1:8000", api_key: str | None = None, *, timeout: float = 60.0,
        retries: int = 4, max_wait: float = 60.0, transport: Any = None,
    ) -> None:  # fmt: skip
        self._connection = Connection(
            base_url, api_key, timeout_s=timeout, retries=retries, max_wait_s=max_wait, transport=transport
        )

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def analyze(self, pictures: Picture | Iterable[Picture], **options: Any) -> list[PictureResult]:
        """The faces of pictures, one result each, in order; a bad picture has an `error` and stops no other.

        Args:
            pictures: one or several of: a file's path, a file's bytes, an array (RGB uint8 (H, W, 3) or grey (H, W)).
            options: of `/v1/analyze`: model, detector, labels, head, min_confidence, max_faces, boxes_only.

        Raises:
            SourceError, ConfigError: a picture that is not there, or is of no kind that is taken.
            ServiceError: the service refuses the request.
            ConnectionFailedError: there is no service.
        """
        return list(self.iter_analyze(pictures, **options))

    def iter_analyze(self, pictures: Picture | Iterable[Picture], **options: Any) -> Iterator[PictureResult]:
        """The same one by one, so that many pictures need not be in memory together."""
        waiting: list[Upload] = []
        for number, picture in enumerate(as_list(pictures)):
            upload = open_picture(picture, number)
            size = sum(len(entry.data) for entry in waiting) + len(upload.data)
            if waiting and (len(waiting) >= TOGETHER or size > TOGETHER_BYTES):
                yield from self._analyze(waiting, options)
                waiting = []
            waiting.append(upload)
        if waiting:
            yield from self._analyze(waiting, options)

    def models(self) -> list[ModelInfo]:
        """The models that the service reads with, the default first."""
        answer = self._connection.request("GET", "v1/models").json()
        return [ModelInfo.from_dict(model) for model in answer["models"]]

    def submit_video(self, video: str | os.PathLike[str] | bytes, *, name: str | None = None, **options: Any) -> Job:
        """Send a video, which the service reads as a job; see `Job.wait`.

        Args:
            video: a file's path, or a file's bytes.
            name: what results call it; default the path's last part.
            options: of `/v1/videos`: labels, start_s, end_s, every, rate_hz, track, smooth_s, hold_s, min_confidence.

        Raises:
            SourceError: the file cannot be read.
            ServiceError: the service refuses it: no video, too large, too long, too many wait.
        """
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
            answer = self._connection.request("POST", "v1/videos", fresh=fresh)
        finally:
            for file in opened:
                file.close()
        return Job(self._connection, JobStatus.from_dict(answer.json()))

    def job(self, job_id: str) -> Job:
        """A job that was submitted before.

        Raises:
            NotFoundError: there is none of this number, or it is another key's.
        """
        return Job(self._connection, JobStatus.from_dict(self._connection.request("GET", f"v1/jobs/{job_id}").json()))

    def _analyze(self, uploads: Sequence[Upload], options: dict[str, Any]) -> Iterator[PictureResult]:
        files = [("files", (Path(upload.name).name, upload.data)) for upload in uploads]
        try:
            answer = self._connection.request(
                "POST", "v1/analyze", fresh=lambda: {"files": files, "params": _plain(options)}
            ).json()
        except (InvalidRequestError, TooLargeError) as error:
            if error.kind not in UNREADABLE:
                raise
            # The service refuses as a whole a request in which no picture can be read.
            for upload in uploads:
                if len(uploads) > 1:
                    yield from self._analyze([upload], options)
                else:
                    yield PictureResult(upload.name, (), error=error)
            return
        for upload, picture in zip(uploads, answer["pictures"], strict=True):
            yield PictureResult.from_dict(upload.name, picture, answer)


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
