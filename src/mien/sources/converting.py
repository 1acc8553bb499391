"""Decoded frames as upright RGB: turned as the file says, by the colours that it states, HDR as SDR."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from mien.images.pictures import on_white
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


def _display_matrix(frame: VideoFrame) -> bytes:
    from av.sidedata.sidedata import SideDataContainer

    try:
        # `frame.side_data` would be kept by the frame that it holds, both until garbage is collected.
        data = SideDataContainer(frame).get("DISPLAYMATRIX")
    except ValueError:
        # PyAV has no name for some kinds of side data, such as EXIF in Motion-JPEG, and then finds none at all.
        return b""
    return b"" if data is None else bytes(cast("Buffer", data))


UNTAGGED, BT709 = 2, 1
"""FFmpeg's numbers of colour spaces: not stated, and that of HD video."""
HD_PX = (1280, 576)
"""Untagged video of this width, or of more lines, is HD, as players take it."""
PQ, HLG = 16, 18
"""FFmpeg's numbers of the two transfer functions of HDR video (SMPTE ST 2084, ARIB STD-B67)."""
WHITE_NITS = 203.0
"""Luminance of a white sheet in HDR video (ITU-R BT.2408): what is brighter is highlights."""
KNEE = 0.8
FROM_BT2020 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


def to_sdr(image: UInt8, transfer: int) -> UInt8:
    """An HDR frame (H, W, 3), BT.2020, as sRGB: diffuse white stays white, highlights are compressed.

    Shown as it is, such a frame is pale and dark, unlike the photos that detectors and models know.
    """
    # A table, because 8 bits have only 256 values.
    linear = cv2.transform(_linear_light(transfer)[image], FROM_BT2020)
    over = np.maximum(linear - KNEE, 0)
    # Straight up to the knee, then bending towards 1.
    toned = np.clip(np.minimum(linear, KNEE) + (1 - KNEE) * (1 - np.exp(-over / (1 - KNEE))), 0, 1)
    return np.asarray(_SRGB[(toned * (len(_SRGB) - 1)).astype(np.uint16)], np.uint8)


@functools.cache
def _linear_light(transfer: int) -> npt.NDArray[np.float32]:
    """Light of each 8-bit code value, 1 for diffuse white."""
    code = np.arange(256) / 255
    if transfer == PQ:
        power = code ** (32 / 2523)
        nits = 10000 * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (16384 / 2610)
    else:
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        nits = 1000 * scene**1.2
    return (nits / WHITE_NITS).astype(np.float32)


_LIGHT = np.linspace(0, 1, 4096)
_SRGB = np.rint(
    255 * np.where(_LIGHT <= 0.0031308, 12.92 * _LIGHT, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)
).astype(np.uint8)  # fmt: skip
"""sRGB of 4,096 steps of light."""


def is_untagged_hd(frame: VideoFrame) -> bool:
    """Whether a frame of luma and chroma is HD and states no colour space: FFmpeg would take it for BT.601."""
    large = frame.width >= HD_PX[0] or frame.height > HD_PX[1]
    return large and frame.colorspace == UNTAGGED and not frame.format.is_rgb and len(frame.format.components) > 1


class Converter:
    """Turns PyAV's frames into upright RGB uint8 (H, W, 3), each of its own size."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._rotation: int | None = None
        self.turn = Turn()

    def __call__(self, frame: VideoFrame) -> UInt8:
        """Convert one frame."""
        clear = frame.format.has_palette or any(part.is_alpha for part in frame.format.components)
        guessed = BT709 if is_untagged_hd(frame) else None
        # One thread: 0.4 ms for 1280×720, and as fast as two; the rest is decoding.
        converted = self._reformatter.reformat(
            frame, format="rgba" if clear else "rgb24", src_colorspace=guessed, threads=1
        )
        pixels = np.asarray(converted.to_ndarray(), np.uint8)
        image = on_white(pixels) if clear else pixels
        if frame.color_trc in (PQ, HLG):
            image = to_sdr(image, int(frame.color_trc))
        return turned(image, self._turn_of(frame))

    def _turn_of(self, frame: VideoFrame) -> Turn:
        # To look at the side data of every frame would take longer than to ask each for its rotation.
        if frame.rotation != self._rotation:
            self._rotation, self.turn = frame.rotation, turn_of(_display_matrix(frame))
        return self.turn
