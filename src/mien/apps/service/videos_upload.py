"""An upload on its way to disk: bounded in bytes and time, never whole in memory, under a name of our own."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from mien.apps.service.problems import Problem
from mien.apps.service.receiving import CLOSE, MAX_PART_HEADER_BYTES, MAX_PART_HEADERS, clean_name, iter_body

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

BLOCK_BYTES = 1 << 20
MAX_FIELDS = 32
MAX_FIELD_BYTES = 1024
RAW_TYPES = ("video/", "application/octet-stream", "image/gif")


@dataclass
class Upload:
    """What came: the file, what the client calls it, and the form's other fields."""

    path: Path
    name: str = "video"
    size_bytes: int = 0
    fields: dict[str, str] = field(default_factory=dict)


@contextlib.asynccontextmanager
async def receive(request: Request, folder: Path, *, max_bytes: int, timeout_s: float) -> AsyncIterator[Upload]:
    """The file of a request's body, multipart or raw, in a folder; it is gone at the end unless it was moved.

    Raises:
        Problem: it is too large, too slow, of another type, broken, or there is no room.
        ClientDisconnect: the client left.
    """
    upload = Upload(folder / f"{secrets.token_hex(16)}.part")
    chunks = iter_body(request, max_bytes=max_bytes, timeout_s=timeout_s)
    try:
        with upload.path.open("xb") as file:
            await _fill(request, chunks, upload, file)
        yield upload
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Problem("no-room", "there is no room for the video on this server's disk, try again later") from error
        raise
    finally:
        upload.path.unlink(missing_ok=True)


async def _fill(request: Request, chunks: AsyncIterator[bytes], upload: Upload, file: IO[bytes]) -> None:
    content_type, options = parse_options_header(request.headers.get("content-type", ""))
    kind = content_type.decode("latin-1").lower()
    writer = _Writer(upload, file)
    if kind == "multipart/form-data":
        await _fill_from_form(chunks, options.get(b"boundary", b""), writer)
    elif kind.startswith(RAW_TYPES):
        upload.name = clean_name(request.query_params.get("name", "")) or upload.name
        async for chunk in chunks:
            writer.take(chunk)
            await writer.flush()
    else:
        raise Problem(
            "unsupported-media-type",
            f"expected multipart/form-data with a part named file, video/… or application/octet-stream, not "
            f"{kind[:100] or 'no content type'}",
            headers=CLOSE | {"Accept-Post": "multipart/form-data, video/*, application/octet-stream"},
        )
    await writer.flush(all_of_it=True)
    if not upload.size_bytes:
        raise Problem("no-video", f"{upload.name}: the file is empty, expected a video")


async def _fill_from_form(chunks: AsyncIterator[bytes], boundary: bytes, writer: _Writer) -> None:
    form = _Form(writer)
    try:
        parser = MultipartParser(
            boundary,
            cast("MultipartCallbacks", form.callbacks()),
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER_BYTES,
        )
        async for chunk in chunks:
            parser.write(chunk)
            await writer.flush()
        parser.finalize()
    except FormParserError as error:
        raise Problem("malformed-request", "the multipart form cannot be read", headers=CLOSE) from error
    if not boundary or not form.complete:
        raise Problem("malformed-request", "the multipart form is cut off, or its boundary is missing", headers=CLOSE)
    if not form.has_file:
        raise Problem("no-video", "expected a part named file with a file name, which holds the video")


class _Writer:
    """Gathers what comes and writes it in large blocks, off the event loop."""

    def __init__(self, upload: Upload, file: IO[bytes]) -> None:
        self.upload, self._file = upload, file
        self._waiting = bytearray()

    def take(self, data: bytes) -> None:
        self.upload.size_bytes += len(data)
        self._waiting += data

    async def flush(self, *, all_of_it: bool = False) -> None:
        if all_of_it or len(self._waiting) >= BLOCK_BYTES:
            block, self._waiting = bytes(self._waiting), bytearray()
            await asyncio.to_thread(self._file.write, block)


class _Form:
    """The parts of a form as they come: the first with a file name is the video, others are short fields."""

    def __init__(self, writer: _Writer) -> None:
        self._writer = writer
        self.has_file = self.complete = False
        self._header, self._value = bytearray(), bytearray()
        self._disposition: dict[bytes, bytes] = {}
        self._is_file = False
        self._field = bytearray()

    def callbacks(self) -> dict[str, Callable[..., None]]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": lambda data, start, end: self._take(data[start:end]),
            "on_part_end": self._end,
            "on_end": self._finish,
        }

    def _begin(self) -> None:
        self._disposition, self._field, self._is_file = {}, bytearray(), False

    def _end_header(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = parse_options_header(bytes(self._value))[1]
        self._header, self._value = bytearray(), bytearray()

    def _open(self) -> None:
        self._is_file = b"filename" in self._disposition
        if self._is_file and self.has_file:
            raise Problem(
                "malformed-request", "a request takes one video; send others by requests of their own", headers=CLOSE
            )
        if self._is_file:
            self.has_file = True
            name = clean_name(self._disposition[b"filename"].decode("utf-8", "replace"))
            self._writer.upload.name = name or self._writer.upload.name

    def _take(self, data: bytes) -> None:
        if self._is_file:
            self._writer.take(data)
        elif len(self._field) + len(data) > MAX_FIELD_BYTES:
            raise Problem(
                "malformed-request", "a field of the form is too long; the video needs a file name", headers=CLOSE
            )
        else:
            self._field += data

    def _end(self) -> None:
        if self._is_file:
            return
        fields = self._writer.upload.fields
        if len(fields) >= MAX_FIELDS:
            raise Problem("malformed-request", f"a form takes up to {MAX_FIELDS} fields", headers=CLOSE)
        fields[self._disposition.get(b"name", b"").decode("utf-8", "replace")] = self._field.decode("utf-8", "replace")

    def _finish(self) -> None:
        self.complete = True
