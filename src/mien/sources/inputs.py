"""What people pass as an image from Python (arrays, Pillow images, files, text), brought to RGB uint8 (H, W, 3)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError, ImageTooLargeError, SourceError, shortened
from mien.images.header import sniff
from mien.images.pictures import MAX_BYTES, on_white, to_rgb
from mien.structures import UInt8

if TYPE_CHECKING:
    from PIL.Image import Image

    ImageInput = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | npt.NDArray[Any] | Image

Color = Literal["rgb", "bgr"]
"""The order of an array's channels: RGB as Mien, Pillow and scikit-image have it, BGR as OpenCV has it."""

ACCEPTED = "a path, bytes, a binary file, a Pillow image, or a NumPy array (H, W, 3) or (H, W) of uint8"
CONVERSIONS = {
    "f": "for values 0–1 pass (image * 255).round().astype('uint8'), for values 0–255 image.round().astype('uint8')",
    "b": "pass image.astype('uint8') * 255",
    "u": "for 16 bits pass (image // 257).astype('uint8')",
    "i": "for values 0–255 pass image.astype('uint8')",
}
"""What to write, by the kind of an array's dtype. Nothing is guessed from the values: a dark image would be wrong."""

# At least 64 characters, all of one base64 alphabet: file names rarely look like that.
BASE64 = re.compile(r"[A-Za-z0-9+/=\s]{64,}|[A-Za-z0-9_=\s-]{64,}")


def is_one_image(source: object) -> bool:
    """Whether this stands for one image (or one name), not for several."""
    if isinstance(source, np.ndarray):
        # An array of texts is a list of names.
        return source.ndim != 4 and not (source.ndim <= 1 and source.dtype.kind in "OUS")
    return (
        isinstance(source, str | os.PathLike | bytes | bytearray | memoryview)
        or is_pillow(source)
        or hasattr(source, "read")
        or not isinstance(source, Iterable)
        # Iterating over a dict would give its keys.
        or isinstance(source, dict)
        or is_foreign_array(source)
    )


def is_pillow(value: object) -> bool:
    """Whether this is a Pillow image; Pillow itself is not imported."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(value, pillow.Image)


def is_foreign_array(value: object) -> bool:
    """Whether this is a tensor of another library, which iterates over its rows."""
    return hasattr(value, "__array__") and hasattr(value, "shape") and getattr(value, "ndim", 0) > 1


def check_color(color: str) -> None:
    """Raise ConfigError for an order of channels that is unknown."""
    if color not in ("rgb", "bgr"):
        raise ConfigError(f"unknown color {shortened(str(color))!r}: expected rgb, or bgr for OpenCV's arrays")


def refusal(value: object, name: str) -> SourceError:
    """The error for what is no image."""
    hint = "; convert it to a NumPy array first" if is_foreign_array(value) else ""
    return SourceError(f"{name}: expected {ACCEPTED}, not {type(value).__name__}{hint}")


def image_from_array(array: npt.NDArray[Any], name: str, *, color: str = "rgb") -> UInt8:
    """RGB uint8 (H, W, 3) from uint8 grey (H, W) or (H, W, 1), RGB (H, W, 3) or RGBA (H, W, 4).

    Args:
        array: the image.
        name: what to call it in messages.
        color: `bgr` where blue comes first.

    Raises:
        SourceError: another dtype, with the conversion to write, or another shape.
    """
    if array.dtype != np.uint8:
        how = CONVERSIONS.get(array.dtype.kind, "pass an array of uint8")
        raise SourceError(f"{name}: expected uint8 values 0–255, not {array.dtype}; {how}")
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (1,), (3,), (4,)) or 0 in array.shape:
        channels_first = array.ndim == 3 and array.shape[0] in (1, 3, 4)
        hint = "; for channels first pass image.transpose(1, 2, 0)" if channels_first else ""
        raise SourceError(f"{name}: expected an RGB (H, W, 3), RGBA or grey (H, W) array, not {array.shape}{hint}")
    if color == "bgr" and array.shape[2:] in ((3,), (4,)):
        array = array[:, :, [2, 1, 0, *range(3, array.shape[2])]]
    return on_white(array) if array.shape[2:] == (4,) else np.ascontiguousarray(to_rgb(array))


def image_from_pillow(image: Image, name: str) -> UInt8:
    """RGB uint8 (H, W, 3) from a Pillow image of any mode, upright by its EXIF orientation.

    Raises:
        SourceError: its pixels cannot be read, or have no fixed range.
    """
    from PIL import ImageOps

    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("I", "F"):
            raise SourceError(f"{name}: a Pillow image of mode {upright.mode} has no fixed range; convert it to 'L'")
        if upright.mode.startswith("I;16"):
            return to_rgb(((np.asarray(upright).astype(np.uint32) + 128) // 257).astype(np.uint8))
        # An image without an alpha channel may declare one of its colours transparent.
        if upright.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in upright.info:
            return on_white(np.asarray(upright.convert("RGBA"), np.uint8))
        # A copy, for NumPy's view of a Pillow image cannot be written to.
        return np.array(upright.convert("RGB"), np.uint8)
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: this Pillow image cannot be read: {error}") from error


def bytes_from_file(file: Any, name: str) -> bytes:
    """What a binary file object holds from its position on.

    Raises:
        SourceError: it holds text or nothing, or cannot be read.
        ImageTooLargeError: it holds more than MAX_BYTES.
    """
    try:
        data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: cannot be read: {error}") from error
    if isinstance(data, str):
        raise SourceError(f"{name}: expected a binary file, this one is open as text; open it with mode 'rb'")
    if not data:
        raise SourceError(f"{name}: the file is at its end; go back to its start with seek(0)")
    if len(data) > MAX_BYTES:
        raise ImageTooLargeError(f"{name}: over {MAX_BYTES:,} bytes, expected one image")
    return bytes(data)


def read_stdin() -> bytes | SourceError:
    """All of standard input, or the error if that is more than MAX_BYTES."""
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        return ImageTooLargeError(f"standard input: over {MAX_BYTES:,} bytes, expected one picture")
    return data


def bytes_from_text(text: str) -> bytes | None:
    """An image in a data URI or in base64; None for text that is neither.

    Raises:
        SourceError: a data URI without an image in base64.
    """
    if text[:5].lower() == "data:":
        head, comma, body = text.partition(",")
        data = _decode_base64(body) if comma and head.lower().endswith(";base64") else None
        if data is None:
            raise SourceError(f"{shortened(text, 40)}: expected a data URI of an image in base64")
        return data
    if not BASE64.fullmatch(text):
        return None
    data = _decode_base64(text)
    return data if data is not None and sniff(data) is not None else None


def _decode_base64(text: str) -> bytes | None:
    import base64
    import binascii

    try:
        # URL-safe base64 has - and _ in place of + and /.
        return base64.b64decode("".join(text.split()).translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        return None


def is_capture(value: object) -> bool:
    """Whether this is a `cv2.VideoCapture`."""
    capture = getattr(sys.modules.get("cv2"), "VideoCapture", None)
    return capture is not None and isinstance(value, capture)


def iter_capture(capture: Any) -> Iterator[tuple[UInt8, float]]:
    """Pictures in RGB and times in seconds of an open `cv2.VideoCapture`, which stays its owner's to release."""
    import cv2

    rate_hz = capture.get(cv2.CAP_PROP_FPS) or 25.0
    last_s, count = -1.0, 0
    while capture.isOpened():
        done, picture = capture.read()
        if not done:
            return
        time_s = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        # Some backends give no time at all, or that of the next frame twice.
        last_s = time_s if time_s > last_s else max(count / rate_hz, last_s)
        yield np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8), last_s
        count += 1
