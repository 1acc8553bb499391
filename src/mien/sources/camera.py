"""Cameras by OpenCV, and a synthetic one with a steady rate for measuring latency."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from mien.errors import SourceError
from mien.images.pictures import quiet
from mien.sources.live import LiveSource
from mien.sources.stream import LiveOptions, Sampling
from mien.structures import UInt8

RETRY_S = 0.02


def open_camera(
    device: int | str,
    sampling: Sampling | None = None,
    *,
    options: LiveOptions | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> LiveSource:
    """The camera with a number (0 is the first) or device path.

    Raises:
        SourceError: there is no such camera (the message lists those that there are), or it sends no frame.
    """
    name = f"camera:{device}" if isinstance(device, int) else device
    wanted = options or LiveOptions()
    return LiveSource(name, lambda: CameraGrabber(device, wanted), sampling, options=wanted, on_notice=on_notice)


def list_cameras() -> dict[str, str]:
    """The video devices of this system, path → name; empty on macOS and Windows."""
    # Shorter names first, so that video10 comes after video9.
    paths = sorted(Path("/dev").glob("video*"), key=lambda path: (len(path.name), path.name))
    return {str(path): _device_name(path) for path in paths}


class CameraGrabber:
    """A camera by OpenCV."""

    def __init__(self, device: int | str, options: LiveOptions) -> None:
        self._device, self._options = device, options
        self._path = Path(f"/dev/video{device}" if isinstance(device, int) else device)
        self._name = f"camera:{device}" if isinstance(device, int) else device
        self._capture: cv2.VideoCapture | None = None

    def open(self) -> float | None:
        """Connect, asking for the size and rate of the options."""
        # OpenCV fails without a reason, so the reasons are looked for before.
        self._check()
        with quiet():
            capture = cv2.VideoCapture(self._device, cv2.CAP_V4L2 if sys.platform == "linux" else cv2.CAP_ANY)
        self._capture = capture
        if not capture.isOpened():
            raise SourceError(f"{self._name}: cannot be opened; is another program using it? {_listed()}")
        self._ask(capture)
        rate_hz = capture.get(cv2.CAP_PROP_FPS)
        # A driver that does not know its rate states 0 or nonsense.
        return rate_hz if 0 < rate_hz < 1000 else None

    def read(self) -> UInt8 | None:
        """The next frame; None if the camera sent none this time."""
        assert self._capture is not None
        try:
            done, picture = self._capture.read()
        except cv2.error as error:
            raise SourceError(f"{self._name}: {error.err}") from error
        if done:
            return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
        if sys.platform == "linux" and not self._path.exists():
            raise SourceError(f"{self._name}: unplugged")
        # A camera that fails at once must not keep a core busy.
        time.sleep(RETRY_S)
        return None

    def close(self) -> None:
        """Disconnect."""
        if self._capture is not None:
            self._capture.release()

    def _check(self) -> None:
        if sys.platform != "linux":
            return
        if not self._path.exists():
            raise SourceError(f"{self._name}: no such camera; {_listed()}")
        if not os.access(self._path, os.R_OK | os.W_OK):
            raise SourceError(
                f"{self._name}: no permission to use {self._path}; members of the group `video` usually have it"
            )

    def _ask(self, capture: cv2.VideoCapture) -> None:
        options = self._options
        if (options.width or 0) > 640 or (options.height or 0) > 480:
            # Raw pictures of that size do not fit through USB 2 at 30 a second.
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        wanted = {
            cv2.CAP_PROP_FRAME_WIDTH: options.width, cv2.CAP_PROP_FRAME_HEIGHT: options.height,
            # A longer queue in the driver would only make frames older.
            cv2.CAP_PROP_FPS: options.rate_hz, cv2.CAP_PROP_BUFFERSIZE: 1,
        }  # fmt: skip
        for key, value in wanted.items():
            if value is not None:
                capture.set(key, value)


class SyntheticGrabber:
    """Images in turn at a steady rate, as a camera would send them.

    Args:
        pictures: RGB uint8 (H, W, 3), repeated without end.
        rate_hz: frames per second.
    """

    def __init__(self, pictures: Sequence[UInt8], rate_hz: float = 30.0) -> None:
        self._pictures, self._rate_hz = pictures, rate_hz
        self._count = 0
        self._began_s = 0.0

    def open(self) -> float | None:
        """Start the clock."""
        self._began_s = time.monotonic()
        return self._rate_hz

    def read(self) -> UInt8 | None:
        """The next image when it is due; those that nobody read in time are dropped."""
        passed = int((time.monotonic() - self._began_s) * self._rate_hz)
        self._count = max(self._count + 1, passed)
        time.sleep(max(0.0, self._began_s + self._count / self._rate_hz - time.monotonic()))
        return self._pictures[self._count % len(self._pictures)]

    def close(self) -> None:
        """Nothing to close."""


def create_synthetic(pictures: Sequence[UInt8], rate_hz: float = 30.0, sampling: Sampling | None = None) -> LiveSource:
    """A live source of images, RGB uint8 (H, W, 3), in turn at a steady rate, for measuring latency."""
    return LiveSource("synthetic", lambda: SyntheticGrabber(pictures, rate_hz), sampling)


def _device_name(path: Path) -> str:
    try:
        return Path("/sys/class/video4linux", path.name, "name").read_text(errors="replace").strip()
    except OSError:
        return ""


def _listed() -> str:
    cameras = list_cameras()
    if not cameras:
        return "this system lists no camera (/dev/video*): check that one is plugged in"
    return "there are " + ", ".join(f"{path} ({name})" if name else path for path, name in cameras.items())
