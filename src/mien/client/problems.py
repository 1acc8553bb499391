"""What the service refuses, as exceptions made of its problem documents.

ServiceError                 whatever the service answers with a status from 400
├── InvalidRequestError      400, 415, 422: what was sent cannot be used
├── UnauthorizedError        401, 403: no key, or none that is known
├── NotFoundError            404, 410: there is no such thing, or it was deleted
├── TooLargeError            413: over a limit of bytes, pixels or pictures
├── RateLimitedError         429: too many requests, also after waiting and trying again
├── OverloadedError          503: too much to do, also after waiting and trying again
└── JobFailedError           a video's job ended without a result
ConnectionFailedError        no answer that can be understood
WaitedTooLongError           a job is not done in time
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mien.errors import MienError

PREFIX = "urn:mien:problem:"


class ConnectionFailedError(MienError):
    """The service cannot be reached, or what answers is not it."""


class WaitedTooLongError(MienError):
    """A job was not done in the time that its client gave it; it goes on."""


class ServiceError(MienError):
    """The service answers that something cannot be done.

    Args:
        kind: the problem's name, such as `not-a-picture`.
        title: the kind in words.
        detail: what happened this time.
        status: of HTTP.
        request_id: the request's number in the service's log.
        errors: each parameter or picture that cannot be used.
    """

    def __init__(
        self,
        kind: str,
        title: str,
        detail: str,
        *,
        status: int,
        request_id: str | None = None,
        errors: tuple[Mapping[str, Any], ...] = (),
    ) -> None:
        super().__init__(f"{title}: {detail}" if detail else title)
        self.kind, self.title, self.detail, self.status = kind, title, detail, status
        self.request_id, self.errors = request_id, errors


class InvalidRequestError(ServiceError):
    """What was sent cannot be used."""


class UnauthorizedError(ServiceError):
    """There is no key, or none that is known."""


class NotFoundError(ServiceError):
    """There is no such thing, or it was deleted."""


class TooLargeError(ServiceError):
    """It is over a limit of bytes, pixels or pictures."""


class RateLimitedError(ServiceError):
    """Too many requests."""


class OverloadedError(ServiceError):
    """The service has too much to do."""


class JobFailedError(ServiceError):
    """A job ended without a result: it failed or was cancelled."""


BY_STATUS: dict[int, type[ServiceError]] = {
    400: InvalidRequestError, 401: UnauthorizedError, 403: UnauthorizedError, 404: NotFoundError, 410: NotFoundError,
    413: TooLargeError, 415: InvalidRequestError, 422: InvalidRequestError, 429: RateLimitedError,
    503: OverloadedError,
}  # fmt: skip


def from_document(document: Mapping[str, Any]) -> ServiceError:
    """The exception that a problem document stands for."""
    status = int(document.get("status", 500))
    name = str(document.get("type", "")).removeprefix(PREFIX)
    chosen = JobFailedError if name == "job-failed" else BY_STATUS.get(status, ServiceError)
    instance = document.get("instance")
    return chosen(
        name, str(document.get("title", "the service failed")), str(document.get("detail", "")), status=status,
        request_id=None if instance is None else str(instance).rpartition(":")[2],
        errors=tuple(document.get("errors") or ()),
    )  # fmt: skip
