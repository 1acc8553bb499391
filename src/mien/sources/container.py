"""What a file is, and opening video containers with PyAV: every failure becomes a SourceError."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mien.errors import ImageTooLargeError, MienError, SourceError, shortened
from mien.images.header import HEAD_BYTES, sniff
from mien.images.pictures import MAX_PIXELS, SUFFIXES

if TYPE_CHECKING:
    from urllib.parse import SplitResult

    from av.container import InputContainer
    from av.video.stream import VideoStream

NETWORK_TIMEOUT_S = 10.0

VIDEO_SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m2v", ".vob",
    ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".flv", ".ogv", ".ogg", ".mxf", ".dv", ".y4m", ".ivf", ".mjpeg", ".mjpg",
    ".h264", ".264", ".h265", ".265", ".hevc", ".gif",
})  # fmt: skip
"""Endings of names that videos have; a GIF is one when it has more than one frame."""

# Demuxers that read one file and nothing else. A playlist (HLS, DASH, concat, SDP) names further files and hosts,
# which a stranger's file must not make us open; text and single images would become videos of one frame.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpeg", "mpegts", "mpegvideo", "flv", "live_flv", "asf", "ogg",
    "gif", "yuv4mpegpipe", "h264", "hevc", "obu", "av1", "ivf", "mjpeg", "m4v", "dv", "mxf", "wtv", "apng", "nut", "rm",
    "nsv", "vc1", "dirac",
)  # fmt: skip
FILE_OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}

Kind = Literal["image", "video", "unknown"]


def kind_of(path: str | os.PathLike[str]) -> Kind:
    """What a file is by its first bytes; its name counts only where there is no such file.

    An animated GIF is a video. A raw Motion-JPEG stream starts as a JPEG does, so there the name decides as well.
    """
    name = os.fspath(path)
    head = head_of(name)
    if head is None:
        suffix = Path(name).suffix.lower()
        return "image" if suffix in SUFFIXES else "video" if suffix in VIDEO_SUFFIXES else "unknown"
    return _kind(head, name, lambda count: _has_frames(name, count))


def kind_of_bytes(data: bytes, name: str, *, frames_of_gif: bool = True) -> Kind:
    """What a file's bytes are, by the same rule; without `frames_of_gif` every GIF is an image."""

    def has_frames(count: int) -> bool:
        if count > 1 and not frames_of_gif:
            return False
        import tempfile

        with tempfile.TemporaryDirectory(prefix="mien-") as folder:
            path = Path(folder, "file")
            path.write_bytes(data)
            return _has_frames(str(path), count)

    return _kind(data[:HEAD_BYTES], name, has_frames)


def _kind(head: bytes, name: str, has_frames: Callable[[int], bool]) -> Kind:
    suffix = Path(name).suffix.lower()
    image_format = sniff(head)
    if image_format == "GIF":
        return "video" if has_frames(2) else "image"
    if image_format is not None:
        return "video" if image_format == "JPEG" and suffix in (".mjpg", ".mjpeg") else "image"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    # Last, because it has to load FFmpeg and open the file.
    return "video" if head and has_frames(1) else "unknown"


def head_of(name: str | os.PathLike[str]) -> bytes | None:
    """The first bytes of a regular file; None where there is none that can be read."""
    try:
        if not Path(name).is_file():
            return None
        with Path(name).open("rb") as file:
            return file.read(HEAD_BYTES)
    except (OSError, ValueError):
        return None


def _has_frames(name: str, count: int) -> bool:
    """Whether a file's first video stream has so many packets, a frame each."""
    import av

    try:
        with open_file(name) as container:
            stream = choose_stream(container, name, MAX_PIXELS)
            packets = (packet for packet in container.demux(stream) if packet.size)
            return sum(1 for _ in zip(range(count), packets, strict=False)) == count
    except (SourceError, av.FFmpegError):
        return False


def open_file(path: str | os.PathLike[str]) -> InputContainer:
    """Open a video file.

    Raises:
        SourceError: there is no such file, or it is not a video that FFmpeg knows.
    """
    import av

    name = os.fspath(path)
    _check_file(name)
    image_format = sniff(head_of(name) or b"")
    if image_format in ("AVIF", "HEIC"):
        # FFmpeg takes them for MP4: one frame, or one tile.
        raise SourceError(_image_instead(name, image_format))
    try:
        # The prefix keeps names with a colon from being taken for an address.
        return av.open(f"file:{name}", options=FILE_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(_why_not_open(name, error)) from error


def open_address(
    url: str, *, open_timeout_s: float = NETWORK_TIMEOUT_S, read_timeout_s: float = NETWORK_TIMEOUT_S,
    options: dict[str, str] | None = None,
) -> InputContainer:  # fmt: skip
    """Open a stream or a file on a server; neither opening nor reading takes longer than its timeout.

    Raises:
        SourceError: when the server does not answer, refuses, or what arrives is not a video.
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
            raise SourceError(f"{name}: no answer within {open_timeout_s:g} s; check the address") from error
        raise SourceError(f"{name}: expected a video stream; FFmpeg does not know what the server sends") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        raise SourceError(f"{name}: cannot be opened: {reason(error)}") from error


def choose_stream(container: InputContainer, name: str, max_pixels: int) -> VideoStream:
    """The video stream of a container; cover images of music do not count.

    Raises:
        SourceError: when it has none, or no decoder for it.
        ImageTooLargeError: when its frames are over the limit.
    """
    from av.stream import Disposition

    streams = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not streams:
        others = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
        raise SourceError(f"{name}: expected a video, there is no video stream in the file ({others} only)")
    # PyAV gives a stream no codec_context where FFmpeg lacks the decoder.
    stream = next((s for s in streams if s.codec_context is not None), None)
    if stream is None:
        raise SourceError(f"{name}: its video codec is unknown; convert it, for example to H.264 in MP4")
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
    """Turn what PyAV and FFmpeg raise while reading into SourceErrors."""
    import av

    try:
        yield
    except (MienError, GeneratorExit):
        raise
    except av.error.ExitError as error:
        raise SourceError(f"{name}: no more data arrived in time") from error
    except av.FFmpegError as error:
        raise SourceError(f"{name}: cannot be read further: {reason(error)}") from error
    except Exception as error:
        # A strange file makes PyAV raise all kinds of errors; each is that file's own and ends no other's reading.
        raise SourceError(f"{name}: cannot be decoded: {type(error).__name__}: {error}") from error


def reason(error: Exception) -> str:
    """What FFmpeg or the system says, without the address, which may hold a password."""
    return str(getattr(error, "strerror", None) or error)


def split_address(url: str) -> SplitResult:
    """The parts of an address.

    Raises:
        SourceError: it is malformed, as with half a bracket.
    """
    # Here, because no file needs it, and a command should start quickly.
    from urllib.parse import urlsplit

    try:
        return urlsplit(url)
    except ValueError as error:
        # Not shown whole: where its password would be cannot be told.
        start = url.partition("://")[0]
        raise SourceError(f"{shortened(start)}://…: expected an address, this one is malformed: {error}") from error


def without_password(url: str) -> str:
    """An address as it may be shown and stored.

    Raises:
        SourceError: it is no address.
    """
    parts = split_address(url)
    if parts.password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user.partition(':')[0]}:***@{host}").geturl()


def _check_file(name: str) -> None:
    try:
        mode = Path(name).stat().st_mode
    except FileNotFoundError as error:
        raise SourceError(f"{shortened(name)}: no such file") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{shortened(name)}: cannot be opened: {reason(error)}") from error
    if stat.S_ISDIR(mode):
        raise SourceError(f"{name}: expected a video file, this is a folder")
    # Opening a pipe would block until somebody writes to it.
    if not stat.S_ISREG(mode):
        raise SourceError(f"{name}: expected a video file, this is a pipe or device; save it to a file first")
    if Path(name).stat().st_size == 0:
        raise SourceError(f"{name}: the file is empty, expected a video")


def _why_not_open(name: str, error: Exception) -> str:
    import av

    image_format = sniff(head_of(name) or b"")
    if image_format is not None:
        return _image_instead(name, image_format)
    # FFmpeg calls a format outside of the list an invalid argument.
    if not isinstance(error, av.error.InvalidDataError | av.error.ArgumentError):
        return f"{name}: cannot be opened: {reason(error)}"
    if _lacks_moov(name):
        return (
            f"{name}: an MP4 or MOV without its index (moov), as an interrupted recording or copy leaves it; "
            "copy it again, or repair it"
        )
    return f"{name}: expected a video file such as MP4, MOV, MKV, WebM or AVI; this is damaged or of an unknown kind"


def _image_instead(name: str, image_format: str) -> str:
    return f"{name}: expected a video, this is {'an' if image_format == 'AVIF' else 'a'} {image_format} image"


def _lacks_moov(name: str) -> bool:
    """Whether a file is an MP4 or MOV by its first box, but none of its top boxes is the index."""
    path = Path(name)
    kinds: list[bytes] = []
    at, end = 0, path.stat().st_size
    with path.open("rb") as file:
        # A hostile file of tiny boxes must not take forever.
        while at + 8 <= end and len(kinds) < 1000:
            file.seek(at)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if size == 1:
                # 1 announces a size of 64 bits behind the name.
                size = int.from_bytes(head[8:16], "big")
            kinds.append(kind)
            # 0 means "up to the end of the file"; any other size below that of its own header is damage.
            if size < 8:
                break
            at += size
    return kinds[:1] in ([b"ftyp"], [b"wide"], [b"mdat"]) and b"moov" not in kinds
