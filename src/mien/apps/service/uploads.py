"""What clients upload, within limits of size, time and memory: images in memory, videos on disk, decoding with care."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from mien.apps.service.admission import Memory
from mien.apps.service.problems import Problem
from mien.apps.service.settings import Settings
from mien.images.header import FORMATS, sniff
from mien.images.pictures import UInt8, decode

FILE_FIELDS = ("file", "files")
"""The names of a form's part with a file; both are accepted everywhere."""
MAX_NAME = 255
MAX_PART_HEADERS = 8
MAX_PART_HEADER_BYTES = 4096
MAX_FIELDS = 32
MAX_FIELD_BYTES = 1024
BLOCK_BYTES = 1 << 20
CLOSE = {"Connection": "close"}
MAX_SCANS = 32
"""A progressive JPEG has about ten; each costs 33 bytes, and 0.1 s of a core at 16 megapixels."""

MAX_MARKERS = 5000

# Neither FF 00 nor restart markers (D0–D7): compressed data contain both.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01

Take = Callable[[bytes], object]
"""Receives the data of a file piece by piece."""


@dataclass(frozen=True)
class ImageUpload:
    """One image file of a request.

    Args:
        data: its bytes.
        name: the last part of the client's file name, without control characters; None if there is none.
    """

    data: bytes
    name: str | None = None


@dataclass
class VideoUpload:
    """A video file on disk, the client's name for it, and the other fields of the form."""

    path: Path
    name: str = "video"
    size_bytes: int = 0
    fields: dict[str, str] = field(default_factory=dict)


BINARY = {"type": "string", "format": "binary"}


def describe_body(description: str, *types: str, field: str, schema: Mapping[str, Any], form: str) -> dict[str, Any]:
    """The OpenAPI `requestBody` of a route that takes a form with files in `field`, or one file as the body."""
    properties = {"type": "object", "required": [field], "description": form, "properties": {field: schema}}
    content: dict[str, Any] = {"multipart/form-data": {"schema": properties}}
    content |= {name: {"schema": BINARY} for name in (*types, "application/octet-stream")}
    return {"requestBody": {"required": True, "description": description, "content": content}}


async def iter_body(request: Request, *, max_bytes: int, timeout_s: float) -> AsyncIterator[bytes]:
    """The chunks of a body.

    Args:
        request: its body has not been read yet.
        max_bytes: a body that is announced as larger, or grows larger, is refused.
        timeout_s: the whole body must arrive within this time.

    Raises:
        Problem: it is compressed, too large or too slow.
        ClientDisconnect: the client is gone.
    """
    coding = request.headers.get("content-encoding", "identity").lower()
    if coding != "identity":
        raise Problem(
            "unsupported-media-type", f"the body is compressed ({coding[:40]}): send it without Content-Encoding",
            headers=CLOSE | {"Accept-Encoding": "identity"},
        )  # fmt: skip
    length = request.headers.get("content-length", "")
    # Twenty digits are above any limit, and Python refuses to parse thousands of them.
    if length.isdecimal() and int(length[:20]) > max_bytes:
        raise _too_large(max_bytes)
    size = 0
    try:
        # One limit for all: with one per chunk a client could send a byte at a time for ever.
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise _too_large(max_bytes)
                yield chunk
    except TimeoutError as error:
        raise Problem(
            "receive-timeout", f"the body was incomplete after {timeout_s:g} s; {size:,} bytes arrived", headers=CLOSE
        ) from error


async def read_images(request: Request, settings: Settings, memory: Memory) -> list[ImageUpload]:
    """The images of a request: the files of a multipart form, or the body itself.

    Raises:
        Problem: too large, too slow, malformed, of another content type, or without a file.
        ClientDisconnect: the client is gone.
    """
    kind, boundary = _content_type(request)
    parts: list[tuple[str | None, list[bytes]]] = []

    def open_file(name: str | None) -> Take:
        if len(parts) >= settings.max_images:
            raise Problem("too-many-images", f"the request has more than {settings.max_images} files", headers=CLOSE)
        # Joined at the end: bytes that grow would be copied with each chunk.
        parts.append((name, []))
        return parts[-1][1].append

    form = _Form(open_file, takes_options=False) if kind == "multipart/form-data" else None
    if form is None and not kind.startswith(("image/", "application/octet-stream")):
        raise _wrong_type("multipart/form-data, image/* or application/octet-stream", kind)
    take = form.parser(boundary) if form else open_file(None)
    chunks = iter_body(request, max_bytes=settings.max_body_bytes, timeout_s=settings.receive_timeout_s)
    async for chunk in chunks:
        # Reserved before it is kept, so that the limit holds for all requests together.
        memory.grow(len(chunk))
        take(chunk)
    if form:
        form.finish()
    uploads = [ImageUpload(b"".join(data), name) for name, data in parts]
    if not any(upload.data for upload in uploads):
        raise Problem("no-image", "expected one or more form parts named 'files', or an image as the body; got nothing")
    return uploads


@contextlib.asynccontextmanager
async def receive_video(
    request: Request, folder: Path, *, max_bytes: int, timeout_s: float
) -> AsyncIterator[VideoUpload]:
    """The video of a request, multipart or raw, as a file in a folder; deleted at the end unless it was moved.

    Raises:
        Problem: it is too large, too slow, of another type, malformed, or the disk is full.
        ClientDisconnect: the client is gone.
    """
    upload = VideoUpload(folder / f"{secrets.token_hex(16)}.part")
    chunks = iter_body(request, max_bytes=max_bytes, timeout_s=timeout_s)
    try:
        with upload.path.open("xb") as file:
            await _write_video(request, chunks, upload, file)
        yield upload
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Problem("no-room", "the server's disk has no room for the video; try again later") from error
        raise
    finally:
        upload.path.unlink(missing_ok=True)


async def _write_video(request: Request, chunks: AsyncIterator[bytes], upload: VideoUpload, file: IO[bytes]) -> None:
    kind, boundary = _content_type(request)
    waiting = bytearray()
    opened = False

    def open_file(name: str | None) -> Take:
        nonlocal opened
        if opened:
            raise Problem("malformed-request", "a request takes one video; send each in its own request", headers=CLOSE)
        opened, upload.name = True, name or upload.name
        return waiting.extend

    form = _Form(open_file, takes_options=True) if kind == "multipart/form-data" else None
    if form is None and not kind.startswith(("video/", "application/octet-stream", "image/gif")):
        raise _wrong_type("multipart/form-data, video/* or application/octet-stream", kind)
    take = form.parser(boundary) if form else open_file(clean_name(request.query_params.get("name", "")))
    async for chunk in chunks:
        take(chunk)
        # Written in large blocks, off the event loop.
        if len(waiting) >= BLOCK_BYTES:
            upload.size_bytes += len(waiting)
            block = bytes(waiting)
            waiting.clear()
            await asyncio.to_thread(file.write, block)
    if form:
        form.finish()
        upload.fields = form.fields
    upload.size_bytes += len(waiting)
    await asyncio.to_thread(file.write, bytes(waiting))
    if not opened:
        raise Problem("no-video", "expected the video in a form part named 'file'")
    if not upload.size_bytes:
        raise Problem("no-video", f"{upload.name}: the file is empty; expected a video")


# Starlette's own form parser writes files above a megabyte to disk; images must never get there.
class _Form:
    """The parts of a multipart form as they arrive: files are handed on, other fields are kept as text.

    Args:
        open_file: called for each file with its clean name; returns what takes its data.
        takes_options: whether other fields are allowed.
    """

    def __init__(self, open_file: Callable[[str | None], Take], *, takes_options: bool) -> None:
        self.fields: dict[str, str] = {}
        self._open_file, self._takes_options = open_file, takes_options
        self._parser: MultipartParser | None = None
        self._ended = False
        self._header, self._value = bytearray(), bytearray()
        self._disposition: dict[bytes, bytes] = {}
        self._take: Take | None = None
        self._field = bytearray()

    def parser(self, boundary: bytes) -> Take:
        """What takes the body, piece by piece.

        Raises:
            Problem: the boundary is missing; later also whatever is wrong with the form.
        """
        callbacks: Any = {
            "on_part_begin": self._begin,
            # A header may be split between two chunks, so its pieces are collected.
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._add(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }
        if not boundary:
            raise _malformed("the multipart form has no boundary")
        try:
            self._parser = MultipartParser(
                boundary, callbacks, max_header_count=MAX_PART_HEADERS, max_header_size=MAX_PART_HEADER_BYTES
            )
        except FormParserError as error:
            raise _malformed("the boundary of the multipart form is invalid") from error
        return self._write

    def finish(self) -> None:
        """Raise a Problem if the form is not complete."""
        if not self._ended:
            raise _malformed("the multipart form is truncated")

    def _write(self, chunk: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise _malformed("the multipart form cannot be parsed") from error

    def _begin(self) -> None:
        self._disposition, self._field, self._take = {}, bytearray(), None

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = parse_options_header(bytes(self._value))[1]
        self._header, self._value = bytearray(), bytearray()

    @property
    def _name(self) -> str:
        return self._disposition.get(b"name", b"").decode("utf-8", "replace")

    def _open(self) -> None:
        if self._name in FILE_FIELDS:
            file_name = self._disposition.get(b"filename", b"").decode("utf-8", "replace")
            self._take = self._open_file(clean_name(file_name))
        # A file under a wrong name is a mistake worth naming; as an option it would only be too long.
        elif b"filename" in self._disposition:
            raise _malformed(f"expected files in parts named 'file' or 'files', not {self._name[:60]!r}")
        elif not self._takes_options:
            raise _malformed(f"options belong in the address, not in the form: add ?{self._name[:60]}=… to it")

    def _add(self, data: bytes) -> None:
        if self._take is not None:
            self._take(data)
        elif len(self._field) + len(data) > MAX_FIELD_BYTES:
            raise _malformed("a form field is too long; a file belongs in a part named 'file'")
        else:
            self._field += data

    def _end(self) -> None:
        if self._take is not None:
            return
        if len(self.fields) >= MAX_FIELDS:
            raise _malformed(f"the form has more than {MAX_FIELDS} fields")
        self.fields[self._name] = self._field.decode("utf-8", "replace")

    def _finish(self) -> None:
        self._ended = True


def clean_name(name: str) -> str | None:
    """The last part of a path, printable; None if nothing is left.

    >>> clean_name("../../etc/passwd")
    'passwd'
    """
    last = name.replace("\\", "/").rpartition("/")[2]
    clean = "".join(letter for letter in last if letter.isprintable()).strip()[:MAX_NAME]
    # `.` and `..` are folders.
    return clean if clean.strip(".") else None


def decode_image(data: bytes, *, name: str, max_pixels: int) -> UInt8:
    """Decode to RGB uint8 (H, W, 3); the first frame of an animation.

    Raises:
        Problem: it is not an image.
        SourceError: it is damaged, or has more than `max_pixels`.
    """
    image_format = sniff(data)
    if image_format is None:
        known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise Problem("not-an-image", f"{name}: starts with {data[:12]!r}, which is not a {known}")
    if image_format == "JPEG" and _has_too_many_scans(data):
        raise Problem("damaged-image", f"{name}: a JPEG with more than {MAX_SCANS} scans or {MAX_MARKERS:,} segments")
    return decode(data, name=name, max_pixels=max_pixels)


def _has_too_many_scans(data: bytes) -> bool:
    """Walk a JPEG's segments and scans like a decoder: bytes within a segment are not markers."""
    scans, at = 0, 2
    for _ in range(MAX_MARKERS):
        found = _MARKER.search(data, at)
        if found is None or found[1][0] == _EOI:
            return False
        at = found.end()
        scans += found[1][0] == _SOS
        if scans > MAX_SCANS:
            return True
        # All but these two are followed by their length, which counts its own two bytes.
        if found[1][0] not in (_SOI, _TEM):
            at += int.from_bytes(data[at : at + 2], "big")
    return True


def _content_type(request: Request) -> tuple[str, bytes]:
    """The body's media type, and the boundary of a form."""
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    return content_type.decode("latin-1").lower(), options.get(b"boundary", b"")


def _malformed(detail: str) -> Problem:
    return Problem("malformed-request", detail, headers=CLOSE)


def _too_large(max_bytes: int) -> Problem:
    return Problem("body-too-large", f"the request is larger than {max_bytes:,} bytes", headers=CLOSE)


def _wrong_type(expected: str, came: str) -> Problem:
    return Problem(
        "unsupported-media-type", f"expected {expected}, not {came[:100] or 'no content type'}",
        headers=CLOSE | {"Accept-Post": expected.replace(" or ", ", ")},
    )  # fmt: skip
