"""The example video: the camera goes from one of the example portraits to the other, and back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mien.images.pictures import UInt8, read, resize
from mien.reading.results import Result
from mien.sinks.annotated import VideoSink
from mien.structures import Frame

NAME = "portraits.mp4"
PORTRAITS = tuple(Path(__file__).parent / "examples" / name for name in ("astronaut.jpg", "grace_hopper.jpg"))
SECONDS, RATE_HZ = 8.0, 15
WIDTH, HEIGHT = 640, 480


def make_clip() -> bytes:
    """The video as MP4."""
    with tempfile.TemporaryDirectory(prefix="mien-") as folder:
        path = Path(folder, NAME)
        with VideoSink(path, draw=_picture) as sink:
            for index, image in enumerate(iter_pictures()):
                sink.write(Result(NAME, Frame(image, NAME, index, index / RATE_HZ), []))
        return path.read_bytes()


def iter_pictures() -> Iterator[UInt8]:
    """Its pictures, RGB uint8 (480, 640, 3), at 15 Hz."""
    wall = np.hstack([_upper(read(path)) for path in PORTRAITS])
    for index in range(round(SECONDS * RATE_HZ)):
        share = (1 - np.cos(2 * np.pi * index / (SECONDS * RATE_HZ))) / 2
        left = round(share * (wall.shape[1] - WIDTH))
        yield np.ascontiguousarray(wall[:, left : left + WIDTH])


def _upper(portrait: UInt8) -> UInt8:
    """The upper part of a portrait, as wide as half a picture and a half."""
    width = 3 * WIDTH // 4
    image = resize(portrait, round(portrait.shape[0] * width / portrait.shape[1]), width)
    return image[:HEIGHT]


def _picture(result: Result) -> UInt8:
    assert result.frame is not None
    return result.frame.image
