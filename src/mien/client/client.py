"""The client: pictures and videos to a service, typed results back."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

from mien.client.connection import Connection
from mien.client.dialogue import Dialogue
from mien.client.jobs import Job
from mien.client.pictures import Picture, Upload, as_list, is_full, open_picture
from mien.client.results import ModelInfo, PictureResult
from mien.closing import Closing


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
        self._dialogue = Dialogue(base_url, retries, max_wait)
        self._connection = Connection(base_url, api_key, timeout_s=timeout, transport=transport)

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
            if is_full(waiting, upload):
                yield from self._connection.run(self._dialogue.analyze(waiting, options))
                waiting = []
            waiting.append(upload)
        if waiting:
            yield from self._connection.run(self._dialogue.analyze(waiting, options))

    def models(self) -> list[ModelInfo]:
        """The models that the service reads with, the default first."""
        return self._connection.run(self._dialogue.models())

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
        status = self._connection.run(self._dialogue.submit_video(video, name, options))
        return Job(self._connection, self._dialogue, status)

    def job(self, job_id: str) -> Job:
        """A job that was submitted before.

        Raises:
            NotFoundError: there is none of this number, or it is another key's.
        """
        return Job(self._connection, self._dialogue, self._connection.run(self._dialogue.job(job_id)))
