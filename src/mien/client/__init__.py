"""A client for Mien's REST service: pictures and videos in, typed results out.

    from mien.client import Client

    with Client("http://127.0.0.1:8000") as client:
        for picture in client.analyze(["a.jpg", "b.jpg"]):
            print(picture.source, [(face.top, face.confidence) for face in picture.faces])
        rows = client.submit_video("film.mp4").wait().rows()

`AsyncClient` has the same methods, to be awaited.

Needs httpx (`pip install "mien[client]"`), and neither NumPy nor a model.
"""

from mien.client.async_client import AsyncClient
from mien.client.client import Client
from mien.client.jobs import AsyncJob, Job
from mien.client.problems import (
    ConnectionFailedError,
    InvalidRequestError,
    JobFailedError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    ServiceError,
    TooLargeError,
    UnauthorizedError,
    WaitedTooLongError,
)
from mien.client.results import Box, Episode, FaceResult, JobStatus, ModelInfo, PictureResult, VideoResult

__all__ = [
    "AsyncClient",
    "AsyncJob",
    "Box",
    "Client",
    "ConnectionFailedError",
    "Episode",
    "FaceResult",
    "InvalidRequestError",
    "Job",
    "JobFailedError",
    "JobStatus",
    "ModelInfo",
    "NotFoundError",
    "OverloadedError",
    "PictureResult",
    "RateLimitedError",
    "ServiceError",
    "TooLargeError",
    "UnauthorizedError",
    "VideoResult",
    "WaitedTooLongError",
]
