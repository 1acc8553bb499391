"""Errors as RFC 9457 problem documents: each kind has a name that stays, and no stack trace leaves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mien.errors import ConfigError, ImageTooLargeError, MienError, SourceError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mien:problem:"
INSTANCE_PREFIX = "urn:mien:request:"

KINDS: dict[str, tuple[int, str]] = {
    "malformed-request": (400, "The request cannot be understood"),
    "no-picture": (400, "There is no picture in the request"),
    "no-video": (400, "There is no video in the request"),
    "unauthorized": (401, "This needs an API key"),
    "cross-origin": (403, "Pages of other sites may not use this service"),
    "unknown-host": (403, "The service does not go by this name"),
    "not-found": (404, "There is nothing here"),
    "method-not-allowed": (405, "This path does not take that method"),
    "receive-timeout": (408, "The request came too slowly"),
    "not-done": (409, "The job is not done yet"),
    "job-failed": (409, "The job ended without a result"),
    "expired": (410, "The result was deleted"),
    "body-too-large": (413, "The request is too large"),
    "picture-too-large": (413, "A picture has too many pixels"),
    "too-many-pictures": (413, "There are too many pictures in the request"),
    "unsupported-media-type": (415, "This content type is not read"),
    "invalid-request": (422, "A parameter cannot be used"),
    "unknown-model": (422, "There is no such model"),
    "not-a-picture": (422, "That is not a picture"),
    "damaged-picture": (422, "A picture is cut off or damaged"),
    "not-a-video": (422, "That is not a video that can be read"),
    "video-too-long": (422, "The video is too long"),
    "rate-limited": (429, "Too many requests"),
    "internal-error": (500, "The service failed"),
    "overloaded": (503, "The service has too much to do"),
    "not-ready": (503, "The service is not ready"),
    "too-many-jobs": (503, "Too many videos wait"),
    "too-many-streams": (503, "Too many streams are open"),
    "timeout": (504, "The answer took too long"),
    "no-room": (507, "The disk is full"),
}
"""Status and title of each kind; clients tell them apart by `type`, which is `urn:mien:problem:` and this name."""

_BY_STATUS = {status: kind for kind, (status, _) in reversed(KINDS.items())} | {400: "malformed-request"}
_DETAILS = {
    "not-found": "nothing is served at this path: see /docs",
    "method-not-allowed": "this path takes the methods that the header Allow lists",
}
"""What the framework says in one word."""


class ProblemDocument(BaseModel):
    """An RFC 9457 problem document."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": f"{TYPE_PREFIX}not-a-picture",
                    "title": "That is not a picture",
                    "status": 422,
                    "detail": "picture 0: starts with b'hello', which is not a JPEG, PNG, WebP, BMP, TIFF or GIF",
                    "instance": f"{INSTANCE_PREFIX}0f8fad5bd9cb469fa16570867728950e",
                }
            ]
        }
    )

    type: str = Field(description="The kind of problem: a name that stays the same.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened this time, and what to do.")
    instance: str | None = Field(None, description="The request's number, as in the header `X-Request-Id` and the log.")
    errors: list[dict[str, Any]] | None = Field(None, description="Each parameter or picture that cannot be used.")


class Problem(Exception):  # noqa: N818  RFC 9457's word
    """A request that gets a problem document for an answer.

    Args:
        kind: one of KINDS.
        detail: what happened, what was expected, and what to do.
        headers: further headers of the answer.
        errors: each parameter or picture that cannot be used.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind, self.detail, self.headers, self.errors = kind, detail, dict(headers or {}), errors
        self.status, self.title = KINDS[kind]

    def document(self, request_id: str | None = None) -> ProblemDocument:
        """What the client gets to read."""
        return ProblemDocument(
            type=TYPE_PREFIX + self.kind, title=self.title, status=self.status, detail=self.detail,
            instance=INSTANCE_PREFIX + request_id if request_id else None, errors=self.errors,
        )  # fmt: skip

    def response(self, request_id: str | None = None) -> Response:
        """The whole answer."""
        body = self.document(request_id).model_dump_json(exclude_none=True)
        return Response(body, self.status, self.headers, MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """The problem that an error of Mien or of the framework is to a client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        kind = _BY_STATUS.get(error.status_code, "internal-error" if error.status_code >= 500 else "malformed-request")
        return Problem(kind, _DETAILS.get(kind, str(error.detail)), headers=error.headers)
    if isinstance(error, ImageTooLargeError):
        return Problem("picture-too-large", str(error).replace("; raise max_pixels to read it", ""))
    if isinstance(error, SourceError):
        return Problem("damaged-picture", str(error))
    if isinstance(error, ConfigError):
        return Problem("invalid-request", str(error))
    return Problem("internal-error", "something went wrong here, and it is in the log under the request's number")


def add_handlers(app: FastAPI) -> None:
    """Answer every error by a problem document."""

    async def answer(request: Request, error: Exception) -> Response:
        return problem_of(error).response(request.scope.get("state", {}).get("request_id"))

    for kind in (Problem, HTTPException, RequestValidationError, SourceError, ConfigError):
        app.add_exception_handler(kind, answer)


def describe_problems(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that can end in these problems, for OpenAPI."""
    by_status: dict[int | str, list[str]] = {}
    for kind in ("unauthorized", "cross-origin", "unknown-host", "invalid-request", "rate-limited", *kinds):
        by_status.setdefault(KINDS[kind][0], []).append(kind)
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {
        status: {
            "description": "; ".join(f"`{TYPE_PREFIX}{kind}`: {KINDS[kind][1]}" for kind in names),
            "content": {MEDIA_TYPE: {"schema": schema}},
        }
        for status, names in sorted(by_status.items(), key=lambda entry: int(entry[0]))
    }


def _invalid(error: RequestValidationError) -> Problem:
    """Which parameters cannot be used and why; what was sent is not sent back."""
    errors = [{"in": ".".join(map(str, entry["loc"])), "message": entry["msg"]} for entry in error.errors()]
    detail = "; ".join(f"{entry['in']}: {entry['message']}" for entry in errors[:3])
    return Problem("invalid-request", detail, errors=errors)


def is_expected(error: BaseException) -> bool:
    """Whether an error is one that clients may cause."""
    return isinstance(error, Problem | HTTPException | RequestValidationError | MienError)
