"""One `source` argument for everything that moves, and the source of frames for it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

import numpy as np

from mien.errors import ConfigError, shortened
from mien.images.pictures import MAX_PIXELS, SUFFIXES
from mien.sources.container import VIDEO_SUFFIXES, kind_of, split_address, without_password
from mien.sources.inputs import is_capture, is_one_image, iter_capture
from mien.sources.photos import FrameSequence, ImageSequence, is_pattern
from mien.sources.stream import FrameSource, LiveOptions, Sampling, StreamInfo
from mien.structures import Frame, UInt8

MovingSource = int | str | os.PathLike[str] | FrameSource | Iterable[Frame] | Iterable[UInt8]

LIVE_SCHEMES = frozenset(["rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp"])
LIVE_SUFFIXES = frozenset([".mjpg", ".mjpeg", ".ts"])
WEB_SCHEMES = frozenset(["http", "https"])

UNDERSTOOD = (
    "a video file, an animated GIF, a camera (0, camera:0 or /dev/video0), an address (rtsp://, rtmp://, http://), "
    "a folder or pattern of images, or frames from Python (arrays, a generator, a cv2.VideoCapture)"
)


def open_source(
    source: MovingSource,
    sampling: Sampling | None = None,
    *,
    live: LiveOptions | None = None,
    rate_hz: float = 25.0,
    max_pixels: int = MAX_PIXELS,
    color: str = "rgb",
    on_notice: Callable[[str], None] | None = None,
) -> FrameSource:
    """Open anything that has frames over time.

    Args:
        source: a video file or animated GIF by its path; a camera by its number (0, "0", "camera:0") or device
            ("/dev/video0"); a stream by its address (rtsp://, rtmp://, http://); a folder or pattern of pictures,
            taken as a sequence; or, from Python, frames or RGB uint8 (H, W, 3) arrays, or a source of frames.
        sampling: which frames are taken; all, if not given.
        live: how a camera or stream is opened and kept.
        rate_hz: frames per second of what has no time of its own: an image sequence, arrays.
        max_pixels: limit on width × height of a frame.
        color: the order of the channels of arrays, `rgb` or `bgr`.
        on_notice: called with a sentence about what happens to a source (lost, back again); a warning of the log
            `mien` if not given.

    Raises:
        ConfigError: this is not a source; the message lists what is.
        SourceError: it does not exist or cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        name = os.fspath(source)
        if "\0" in name or not name:
            raise ConfigError(f"expected {UNDERSTOOD}, not {shortened(name)!r}")
        if (camera := camera_of(name)) is not None:
            return _open_camera(camera, sampling, live, on_notice)
        if is_stream(name):
            return _open_address(name, sampling, live, max_pixels, on_notice)
        if Path(name).is_dir() or is_pattern(name):
            return ImageSequence(name, sampling, rate_hz=rate_hz, max_pixels=max_pixels)
        return _open_file(name, sampling, max_pixels, on_notice)
    # True is an int too, but not a camera.
    if isinstance(source, int) and not isinstance(source, bool) and source >= 0:
        return _open_camera(source, sampling, live, on_notice)
    if is_capture(source):
        frames = (Frame(image, "capture", i, time_s) for i, (image, time_s) in enumerate(iter_capture(source)))
        return FrameSequence(frames, sampling, max_pixels=max_pixels)
    if isinstance(source, Iterable) and not is_one_image(source):
        # Not wrapped without need: the caller keeps the type and methods of their own source.
        if sampling in (None, Sampling()) and isinstance(getattr(source, "info", None), StreamInfo):
            return cast("FrameSource", source)
        return FrameSequence(source, sampling, rate_hz=rate_hz, max_pixels=max_pixels, color=color)
    raise ConfigError(f"expected {UNDERSTOOD}, not {_shown(source)}")


def is_moving(source: str | os.PathLike[str] | int) -> bool:
    """Whether a source has frames over time: a video file, an animated GIF, a camera, a stream.

    A picture, a one-frame GIF, a folder and a pattern are none. Nothing but a local file is opened.
    """
    if isinstance(source, int) or camera_of(os.fspath(source)) is not None:
        return True
    return is_stream(os.fspath(source)) or kind_of(source) == "video"


def is_stream(name: str) -> bool:
    """Whether this is the address of something on a network."""
    scheme, found, _ = name.lstrip().partition("://")
    return bool(found) and scheme.lower() in LIVE_SCHEMES | WEB_SCHEMES


def camera_of(name: str) -> int | str | None:
    """The number or device of the camera that is named so ("0", "camera:0", "/dev/video0"), or None."""
    found = re.fullmatch(r"(?:camera:)?(\d{1,3})", name, re.ASCII)
    if found:
        # A file may be called 0.
        return None if Path(name).exists() else int(found[1])
    return name if re.fullmatch(r"/dev/(video\d+|v4l/.+)", name) else None


def _open_file(
    name: str, sampling: Sampling | None, max_pixels: int, on_notice: Callable[[str], None] | None
) -> FrameSource:
    from mien.sources.video import VideoFile

    if re.match(r"[a-z][a-z0-9+.-]+://", name, re.IGNORECASE):
        raise ConfigError(f"{name}: this kind of address is not supported; expected {UNDERSTOOD}")
    return VideoFile(name, sampling, max_pixels=max_pixels, on_notice=on_notice)


def _open_camera(
    device: int | str, sampling: Sampling | None, live: LiveOptions | None, on_notice: Callable[[str], None] | None
) -> FrameSource:
    from mien.sources.camera import open_camera

    return open_camera(device, sampling, options=live, on_notice=on_notice)


def _open_address(
    url: str, sampling: Sampling | None, live: LiveOptions | None, max_pixels: int,
    on_notice: Callable[[str], None] | None,
) -> FrameSource:  # fmt: skip
    """A file on a server by its suffix or because it has a duration, else a live stream."""
    from mien.sources.live import FiniteStreamError, open_stream
    from mien.sources.video import VideoFile

    parts = split_address(url)
    suffix = Path(parts.path).suffix.lower()
    # A GIF may move, so it is not refused.
    if suffix in SUFFIXES.keys() - VIDEO_SUFFIXES:
        raise ConfigError(f"{without_password(url)}: the address of an image; save the image to a file first")
    if parts.scheme.lower() in WEB_SCHEMES and suffix in VIDEO_SUFFIXES - LIVE_SUFFIXES:
        return VideoFile(url, sampling, max_pixels=max_pixels, on_notice=on_notice)
    try:
        # Only the answer tells a live stream from a file here: a file has a duration.
        return open_stream(url, sampling, options=live, max_pixels=max_pixels, on_notice=on_notice)
    except FiniteStreamError:
        return VideoFile(url, sampling, max_pixels=max_pixels, on_notice=on_notice)


def _shown(source: object) -> str:
    if isinstance(source, np.ndarray):
        return f"an array {source.shape}"
    return repr(source) if isinstance(source, int | float | None) else type(source).__name__
