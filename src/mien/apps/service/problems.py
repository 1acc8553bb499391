"""Errors as RFC 9457 problem documents: each kind has a name that stays, and no stack trace leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from mien.apps.service.jobs_files import StoreLostError
from mien.errors import ConfigError, ImageTooLargeError, SourceError

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:mien:problem:"
INSTANCE_PREFIX = "urn:mien:request:"

KINDS: dict[str, tuple[int, str]] = {
    "malformed-request": (400, "Malformed request"),
    "no-image": (400, "No image in the request"),
    "no-video": (400, "No video in the request"),
    "unauthorized": (401, "API key required"),
    "cross-origin": (403, "Cross-origin request refused"),
    "unknown-host": (403, "Unknown host name"),
    "not-found": (404, "Not found"),
    "method-not-allowed": (405, "Method not allowed"),
    "receive-timeout": (408, "The request arrived too slowly"),
    "not-done": (409, "The job is not done yet"),
    "job-failed": (409, "The job ended without a result"),
    "expired": (410, "The result was deleted"),
    "body-too-large": (413, "Request too large"),
    "image-too-large": (413, "Image too large"),
    "too-many-images": (413, "Too many images in the request"),
    "unsupported-media-type": (415, "Unsupported content type"),
    "invalid-request": (422, "Invalid parameter"),
    "unknown-model": (422, "Unknown model"),
    "not-an-image": (422, "Not an image"),
    "damaged-image": (422, "Damaged image"),
    "not-a-video": (422, "Not a readable video"),
    "video-too-long": (422, "Video too long"),
    "rate-limited": (429, "Too many requests"),
    "internal-error": (500, "Internal error"),
    "overloaded": (503, "Service overloaded"),
    "not-ready": (503, "Service not ready"),
    "too-many-jobs": (503, "Too many queued videos"),
    "too-many-streams": (503, "Too many open streams"),
    "timeout": (504, "Timeout"),
    "no-room": (507, "Disk full"),
}
"""Status and title of each kind; `type` is `urn:mien:problem:` and the kind's name."""

# Reversed, so that the first kind of a status wins.
_BY_STATUS = {status: kind for kind, (status, _) in reversed(KINDS.items())}
_DETAILS = {
    "not-found": "no such path; see /docs",
    "method-not-allowed": "see the header Allow for the methods of this path",
}
"""Details where the framework gives only a word."""


class ProblemDocument(BaseModel):
    """An RFC 9457 problem document."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": f"{TYPE_PREFIX}not-an-image",
                    "title": "Not an image",
                    "status": 422,
                    "detail": "image 0: starts with b'hello', which is not a JPEG, PNG, WebP, BMP, TIFF or GIF",
                    "instance": f"{INSTANCE_PREFIX}0f8fad5bd9cb469fa16570867728950e",
                }
            ]
        }
    )

    type: str = Field(description="The kind of problem; a stable name.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened, and what to do.")
    instance: str | None = Field(None, description="The request ID, as in the header `X-Request-Id` and the log.")
    errors: list[dict[str, Any]] | None = Field(None, description="One entry per invalid parameter or image.")


class Problem(Exception):  # noqa: N818  RFC 9457's word
    """Answers a request with a problem document.

    Args:
        kind: one of KINDS.
        detail: what happened, what was expected, and what to do.
        headers: further headers of the answer.
        errors: one entry per invalid parameter or image.
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
        """The problem document."""
        return ProblemDocument(
            type=TYPE_PREFIX + self.kind, title=self.title, status=self.status, detail=self.detail,
            instance=INSTANCE_PREFIX + request_id if request_id else None, errors=self.errors,
        )  # fmt: skip

    def response(self, request_id: str | None = None) -> Response:
        """The response."""
        body = self.document(request_id).model_dump_json(exclude_none=True)
        return Response(body, self.status, self.headers, MEDIA_TYPE)


def problem_of(error: Exception) -> Problem:
    """The problem for an error of Mien or the framework."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        return invalid_request(error.errors())
    if isinstance(error, HTTPException):
        # The framework raises for unknown paths and methods, before any route runs.
        kind = _BY_STATUS.get(error.status_code, "internal-error" if error.status_code >= 500 else "malformed-request")
        return Problem(kind, _DETAILS.get(kind, str(error.detail)), headers=error.headers)
    if isinstance(error, ImageTooLargeError):
        # The advice is for users of the library; here the operator sets the limit.
        return Problem("image-too-large", str(error).replace("; raise max_pixels to read it", ""))
    if isinstance(error, SourceError):
        return Problem("damaged-image", str(error))
    if isinstance(error, ConfigError):
        return Problem("invalid-request", str(error))
    if isinstance(error, StoreLostError):
        return Problem("not-ready", f"{error.what} cannot be reached; try again soon", headers={"Retry-After": "5"})
    # The message of an unforeseen error may name paths or contents.
    return Problem("internal-error", "something went wrong; the log has details under the request ID")


def add_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Answer every error with a problem document; `routes` are those that `Allow` is made of."""

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.kind == "method-not-allowed":
            problem.headers["Allow"] = ", ".join(sorted(_methods(routes, request.scope)))
        return problem.response(request.scope.get("state", {}).get("request_id"))

    for kind in (Problem, HTTPException, RequestValidationError, SourceError, ConfigError, StoreLostError):
        app.add_exception_handler(kind, answer)


def _methods(routes: Sequence[BaseRoute], scope: Scope) -> set[str]:
    """The methods of a path over all its routes; the framework names only those of the first."""
    matching = [route for route in routes if route.matches(scope)[0] is not Match.NONE]
    return {method for route in matching for method in getattr(route, "methods", None) or ()}


def describe_problems(*kinds: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that can end in these problems."""
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


def invalid_request(found: Iterable[Mapping[str, Any]], where: str = "") -> Problem:
    """Which parameters are invalid and why, without echoing their values.

    Args:
        found: Pydantic's errors.
        where: a prefix of their places, such as `body.`.
    """
    errors = [{"in": where + ".".join(map(str, entry["loc"])), "message": entry["msg"]} for entry in found]
    # A sentence of three; `errors` has all.
    detail = "; ".join(f"{entry['in']}: {entry['message']}" for entry in errors[:3])
    return Problem("invalid-request", detail, errors=errors)
