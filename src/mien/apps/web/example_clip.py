"""The example video: a portrait that comes near, is blurred and dark for a while, and comes back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from mien.images.pictures import UInt8, read
from mien.reading.results import Result
from mien.sinks.annotated import VideoSink
from mien.structures import Frame

NAME = "portrait.mp4"
PORTRAIT = Path(__file__).parent / "examples" / "astronaut.jpg"
SECONDS, RATE_HZ = 8.0, 15
WIDTH, HEIGHT = 600, 400
_HIDDEN_S, _HIDDEN_FOR_S = 5.0, 1.5
_MIDDLE = (240.0, 165.0)


def make_clip() -> bytes:
    """The video as MP4."""
    with tempfile.TemporaryDirectory(prefix="mien-") as folder:
        path = Path(folder, NAME)
        with VideoSink(path, draw=_picture) as sink:
            for index, image in enumerate(iter_pictures(read(PORTRAIT))):
                sink.write(Result(NAME, Frame(image, NAME, index, index / RATE_HZ), []))
        return path.read_bytes()


def iter_pictures(portrait: UInt8) -> Iterator[UInt8]:
    """Its pictures, RGB uint8 (400, 600, 3), at 15 Hz."""
    for index in range(round(SECONDS * RATE_HZ)):
        time_s = index / RATE_HZ
        scale = 1.55 - 0.35 * np.cos(2 * np.pi * time_s / SECONDS)
        x = np.clip(_MIDDLE[0] + 35 * np.sin(4 * np.pi * time_s / SECONDS), *_reach(portrait.shape[1], WIDTH / scale))
        y = np.clip(_MIDDLE[1], *_reach(portrait.shape[0], HEIGHT / scale))
        move = np.array([[scale, 0, WIDTH / 2 - scale * x], [0, scale, HEIGHT / 2 - scale * y]])
        picture = cv2.warpAffine(portrait, move, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)
        hidden = float(np.clip(1 - abs(time_s - _HIDDEN_S) / _HIDDEN_FOR_S, 0, 1))
        if hidden:
            picture = cv2.GaussianBlur(picture, (0, 0), 0.1 + 9 * hidden * scale)
        yield np.ascontiguousarray((picture * (1 - 0.45 * hidden)).astype(np.uint8))


def _reach(length: int, shown: float) -> tuple[float, float]:
    """Where the middle may be, so that nothing outside the portrait is shown."""
    return shown / 2, length - shown / 2


def _picture(result: Result) -> UInt8:
    assert result.frame is not None
    return result.frame.image
