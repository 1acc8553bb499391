"""A client for Mien's REST service: images and videos in, typed results out.

    from mien.client import Client

    with Client("http://127.0.0.1:8000") as client:
        for image in client.analyze(["a.jpg", "b.jpg"]):
            print(image.source, [(face.top, face.confidence) for face in image.faces])
        rows = client.submit_video("video.mp4").wait().rows()

`AsyncClient` has the same methods, awaited. Needs httpx (`pip install "mien[client]"`), neither NumPy nor a model.
"""

from mien.client.client import AsyncClient, AsyncJob, Client, Job
from mien.client.results import (
    Box,
    ConnectionFailedError,
    Episode,
    FaceResult,
    ImageResult,
    InvalidRequestError,
    JobFailedError,
    JobStatus,
    ModelInfo,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    ServiceError,
    TooLargeError,
    UnauthorizedError,
    VideoResult,
    WaitedTooLongError,
)

__all__ = [
    "AsyncClient", "AsyncJob", "Box", "Client", "ConnectionFailedError", "Episode", "FaceResult", "ImageResult",
    "InvalidRequestError", "Job", "JobFailedError", "JobStatus", "ModelInfo", "NotFoundError", "OverloadedError",
    "RateLimitedError", "ServiceError", "TooLargeError", "UnauthorizedError", "VideoResult", "WaitedTooLongError",
]  # fmt: skip
