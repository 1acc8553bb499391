"""Opening video containers with PyAV, with every failure told in Mien's words."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from mien.errors import ImageTooLargeError, SourceError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

NETWORK_TIMEOUT_S = 10.0

# FFmpeg shows text files as ANSI art and pictures as videos of one frame.
NO_VIDEOS = frozenset(["tty", "bin", "xbin", "adf", "idf", "image2"])


def open_file(path: str | os.PathLike[str]) -> InputContainer:
    """Open a video file.

    Raises:
        SourceError: when there is no such file, it is none, or FFmpeg knows it not as a video.
    """
    import av

    name = os.fspath(path)
    _check_file(name)
    try:
        # The prefix keeps names with a colon from being taken for an address.
        container = av.open(f"file:{name}")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(_why_not_open(name, error)) from error
    if container.format.name in NO_VIDEOS or container.format.name.endswith("_pipe"):
        container.close()
        raise SourceError(f"{name}: expected a video file, this is a picture or text")
    return container


def open_address(
    url: str, *, open_timeout_s: float = NETWORK_TIMEOUT_S, read_timeout_s: float = NETWORK_TIMEOUT_S,
    options: dict[str, str] | None = None,
) -> InputContainer:  # fmt: skip
    """Open a stream or a file on a server; neither opening nor reading takes longer than its timeout.

    Raises:
        SourceError: when the server does not answer, refuses, or what comes is no video.
    """
    import av

    name = without_password(url)
    started_s = time.monotonic()
    try:
        return av.open(url, options=options or {}, timeout=(open_timeout_s, read_timeout_s))
    except (av.error.ExitError, av.error.InvalidDataError) as error:
        # Interrupted in the middle of an answer, FFmpeg calls what it has invalid.
        late = time.monotonic() - started_s >= open_timeout_s
        if late or isinstance(error, av.error.ExitError):
            raise SourceError(f"{name}: no answer within {open_timeout_s:g} s; is the address right?") from error
        raise SourceError(f"{name}: expected a video stream, what comes is none that FFmpeg knows") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"{name}: cannot be opened: {reason(error)}") from error


def choose_stream(container: InputContainer, name: str, max_pixels: int) -> VideoStream:
    """The video stream of a container; cover pictures of music are none.

    Raises:
        SourceError: when it has none, or no decoder for it.
        ImageTooLargeError: when its frames are over the limit.
    """
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        others = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise SourceError(f"{name}: expected a video, the file holds no video stream ({others} only)")
    stream = next((s for s in streams if s.codec_context is not None), None)
    if stream is None:
        raise SourceError(f"{name}: its video codec is unknown here; convert it, for example to H.264 in MP4")
    check_size(stream.codec_context.width, stream.codec_context.height, name, max_pixels)
    return stream


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse frames with more pixels than the limit."""
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{name}: frames of {width:,} × {height:,} pixels are more than max_pixels = {max_pixels:,}; "
            "raise max_pixels to read it"
        )


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn PyAV's errors while reading into SourceErrors."""
    import av

    try:
        yield
    except av.error.ExitError as error:
        raise SourceError(f"{name}: nothing more came for too long") from error
    except av.FFmpegError as error:
        raise SourceError(f"{name}: cannot be read on: {reason(error)}") from error


def reason(error: Exception) -> str:
    """What FFmpeg or the system says, without the address, which may hold a password."""
    return str(getattr(error, "strerror", None) or error)


def without_password(url: str) -> str:
    """An address as it may be shown and stored."""
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}"))


def _check_file(name: str) -> None:
    try:
        mode = Path(name).stat().st_mode
    except FileNotFoundError as error:
        raise SourceError(f"{name}: no such file") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: cannot be opened: {reason(error)}") from error
    if stat.S_ISDIR(mode):
        raise SourceError(f"{name}: expected a video file, this is a folder")
    if not stat.S_ISREG(mode):
        raise SourceError(f"{name}: expected a video file, this is a pipe or device; save it to a file first")
    if Path(name).stat().st_size == 0:
        raise SourceError(f"{name}: the file is empty, expected a video")


def _why_not_open(name: str, error: Exception) -> str:
    import av

    if not isinstance(error, av.error.InvalidDataError):
        return f"{name}: cannot be opened: {reason(error)}"
    if _lacks_moov(name):
        return (
            f"{name}: an MP4 or MOV without its index (moov), as an interrupted recording or copy leaves it; "
            "copy it again, or repair it with a tool for that"
        )
    return f"{name}: expected a video file, this is damaged or none that FFmpeg knows"


def _lacks_moov(name: str) -> bool:
    """Whether a file is an MP4 or MOV by its first box, but none of its top boxes is the index."""
    path = Path(name)
    kinds: list[bytes] = []
    at, end = 0, path.stat().st_size
    with path.open("rb") as file:
        while at + 8 <= end and len(kinds) < 1000:
            file.seek(at)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                size = int.from_bytes(head[8:16], "big")
            kinds.append(kind)
            if size < 8:
                break
            at += size
    return kinds[:1] in ([b"ftyp"], [b"wide"], [b"mdat"]) and b"moov" not in kinds
