"""Request bodies, read within limits of size, time and memory; nothing is written to a disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from mien.apps.service.admission import Memory
from mien.apps.service.problems import Problem
from mien.apps.service.settings import Settings

FIELD = "files"
RAW_TYPES = ("application/octet-stream",)
MAX_NAME = 255
MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 4096


@dataclass(frozen=True)
class Upload:
    """One file of a request.

    Args:
        data: its bytes.
        name: the last part of the name that the client gave it, without control characters; None for none.
    """

    data: bytes
    name: str | None = None


async def iter_body(request: Request, *, max_bytes: int, timeout_s: float) -> AsyncIterator[bytes]:
    """The chunks of a body.

    Args:
        request: its body was not read yet.
        max_bytes: a body that is announced or grows larger is refused.
        timeout_s: all of it must be here within this time.

    Raises:
        Problem: it is too large or too slow.
        ClientDisconnect: the client is gone.
    """
    _check_length(request, max_bytes)
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                yield chunk
    except TimeoutError as error:
        raise Problem(
            "receive-timeout", f"the body was not here after {timeout_s:g} s, {size:,} bytes were", headers=CLOSE
        ) from error


async def read_uploads(request: Request, settings: Settings, memory: Memory) -> list[Upload]:
    """The files of a request: the parts `files` of a multipart form, or the body itself.

    Raises:
        Problem: too large, too slow, malformed, of another content type, or without a file.
        ClientDisconnect: the client is gone.
    """
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    kind = content_type.decode("latin-1").lower()
    chunks = iter_body(request, max_bytes=settings.max_body_bytes, timeout_s=settings.receive_timeout_s)
    if kind == "multipart/form-data":
        uploads = await _read_form(chunks, options.get(b"boundary", b""), settings, memory)
    elif kind.startswith("image/") or kind in RAW_TYPES:
        uploads = [Upload(await _read_whole(chunks, memory))]
    else:
        raise Problem(
            "unsupported-media-type",
            f"expected multipart/form-data, image/… or application/octet-stream, not {kind[:100] or 'no content type'}",
            headers={"Accept-Post": "multipart/form-data, image/*, application/octet-stream"},
        )
    if not any(upload.data for upload in uploads):
        raise Problem(
            "no-picture", f"expected one or more parts named {FIELD!r}, or a picture as the body, not an empty one"
        )
    return uploads


CLOSE = {"Connection": "close"}


def _check_length(request: Request, max_bytes: int) -> None:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> Problem:
    return Problem("body-too-large", f"the request has more than {max_bytes:,} bytes", headers=CLOSE)


async def _read_whole(chunks: AsyncIterator[bytes], memory: Memory) -> bytes:
    parts = []
    async for chunk in chunks:
        memory.grow(len(chunk))
        parts.append(chunk)
    return b"".join(parts)


async def _read_form(chunks: AsyncIterator[bytes], boundary: bytes, settings: Settings, memory: Memory) -> list[Upload]:
    form = _Form(settings.max_pictures)
    try:
        parser = MultipartParser(
            boundary, form.callbacks, max_header_count=MAX_PART_HEADERS, max_header_size=MAX_PART_HEADER_BYTES
        )
        async for chunk in chunks:
            memory.grow(len(chunk))
            parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise Problem("malformed-request", "the multipart form cannot be read", headers=CLOSE) from error
    if not boundary or not form.ended:
        raise Problem("malformed-request", "the multipart form is cut off, or its boundary is missing", headers=CLOSE)
    return form.uploads


class _Form:
    """Collects the parts of a form; other fields than the files are refused."""

    def __init__(self, max_files: int) -> None:
        self.uploads: list[Upload] = []
        self.ended = False
        self._max_files = max_files
        self._field = self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._data: list[bytes] = []
        self._name: str | None = None

    @property
    def callbacks(self) -> Any:
        """What the parser calls, by name."""
        names = (
            "part_begin",
            "part_data",
            "part_end",
            "header_field",
            "header_value",
            "header_end",
            "headers_finished",
        )
        return {f"on_{name}": getattr(self, f"_{name}") for name in (*names, "end")}

    def _part_begin(self) -> None:
        if len(self.uploads) >= self._max_files:
            raise Problem(
                "too-many-pictures", f"there are more than {self._max_files} files in the request", headers=CLOSE
            )
        self._headers, self._data = {}, []

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._field.lower()] = self._value
        self._field = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        field = options.get(b"name", b"").decode("utf-8", "replace")
        if field != FIELD:
            raise Problem(
                "malformed-request", f"expected parts named {FIELD!r} only, not {field[:60]!r}", headers=CLOSE
            )
        self._name = clean_name(options.get(b"filename", b"").decode("utf-8", "replace"))

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _part_end(self) -> None:
        self.uploads.append(Upload(b"".join(self._data), self._name))

    def _end(self) -> None:
        self.ended = True


def clean_name(name: str) -> str | None:
    """The last part of a path, printable; None for nothing.

    >>> clean_name("../../etc/passwd")
    'passwd'
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = "".join(letter for letter in last if letter.isprintable()).strip()[:MAX_NAME]
    return clean if clean.strip(".") else None


__all__ = ["ClientDisconnect", "Upload", "clean_name", "iter_body", "read_uploads"]
