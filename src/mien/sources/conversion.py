"""A decoded video frame as it is to be seen: RGB, upright, on white where it is transparent, of one size."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np

from mien.images.pictures import resize
from mien.structures import UInt8

if TYPE_CHECKING:
    from av import VideoFrame
    from av.buffer import Buffer


class Turn(NamedTuple):
    """What makes a stored frame upright: transposed first, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False


def turn_of(matrix: bytes) -> Turn:
    """The turn that a display matrix asks for, in steps of 90°.

    Args:
        matrix: nine int32 in this machine's byte order; a point (x, y) is shown at (a·x + c·y, b·x + d·y).

    >>> turn_of(np.array([0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30], np.int32).tobytes())
    Turn(transpose=True, mirror_x=True, mirror_y=False)
    """
    if len(matrix) < 36:
        return Turn()
    a, b, _, c, d = (int(value) for value in np.frombuffer(matrix, np.int32, 5))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Turn(False, a < 0, d < 0)
    return Turn(True, c < 0, b < 0)


def turned(image: UInt8, turn: Turn) -> UInt8:
    """An image (H, W, 3) made upright, (W, H, 3) when it is transposed."""
    out = cv2.transpose(image) if turn.transpose else image
    if turn.mirror_x or turn.mirror_y:
        out = cv2.flip(out, -1 if turn.mirror_x and turn.mirror_y else int(turn.mirror_x))
    return np.asarray(out, np.uint8)


def on_white(rgba: UInt8) -> UInt8:
    """RGB (H, W, 3) from RGBA (H, W, 4) with straight alpha."""
    alpha = rgba[:, :, 3:].astype(np.uint16)
    if alpha.min() == 255:
        return np.ascontiguousarray(rgba[:, :, :3])
    return ((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _display_matrix(frame: VideoFrame) -> bytes:
    data = frame.side_data.get("DISPLAYMATRIX")
    return b"" if data is None else bytes(cast("Buffer", data))


class Converter:
    """Turns PyAV's frames into upright RGB uint8 (H, W, 3), all of the first one's size."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._rotation: int | None = None
        self._turn = Turn()

    def __call__(self, frame: VideoFrame) -> UInt8:
        """Convert one frame; a frame of another size than the first is scaled to it."""
        clear = frame.format.has_palette or any(part.is_alpha for part in frame.format.components)
        # One thread: 0.4 ms for 1280×720, and as fast as two; the rest is decoding.
        converted = self._reformatter.reformat(frame, format="rgba" if clear else "rgb24", threads=1)
        pixels = np.asarray(converted.to_ndarray(), np.uint8)
        image = on_white(pixels) if clear else pixels
        image = turned(image, self._turn_of(frame))
        if self._size is None:
            self._size = (image.shape[0], image.shape[1])
        return resize(image, *self._size)

    def _turn_of(self, frame: VideoFrame) -> Turn:
        # PyAV's side data and its frame hold each other until the garbage is collected, hundreds of frames later.
        if frame.rotation != self._rotation:
            self._rotation, self._turn = frame.rotation, turn_of(_display_matrix(frame))
        return self._turn
