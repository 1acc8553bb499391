"""Pictures in and out of files, and the only colour conversions and size limits in Mien.

Pictures are RGB uint8 (H, W, 3) once decoded, upright, on white where they were transparent.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError, ImageTooLargeError, MienError, MissingExtraError, SourceError, shortened
from mien.files import write_whole
from mien.images.header import avif_depth, is_complete, read_orientation, read_size, read_tile_size, sniff
from mien.images.unknown import describe_unknown

UInt8 = npt.NDArray[np.uint8]
Number = TypeVar("Number", np.uint8, np.float32, np.float64)

MAX_PIXELS = 100_000_000
"""Default limit on width × height, checked before anything is decoded."""

MAX_BYTES = 256 * 2**20
"""Default limit on a file's size."""

SUFFIXES = {
    ".jpg": "jpeg", ".jpeg": "jpeg", ".jpe": "jpeg", ".jfif": "jpeg", ".mpo": "mpo", ".png": "png", ".webp": "webp",
    ".bmp": "bmp", ".tif": "tiff", ".tiff": "tiff", ".gif": "gif", ".avif": "avif", ".heic": "heic", ".heif": "heic",
}  # fmt: skip
"""Endings of names that images have, with the format of each."""

Notify = Callable[[str], None]
"""Hears in a sentence what is odd about a file that was read all the same."""

END_ROWS = 16
"""Height of a JPEG's last row of blocks, whose right end is all that its last bytes reach."""

WRITTEN = {"jpeg": ".jpg", "png": ".png", "webp": ".webp", "bmp": ".bmp", "tiff": ".tiff"}


def read(
    path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS, max_bytes: int = MAX_BYTES,
    on_notice: Notify | None = None,
) -> UInt8:  # fmt: skip
    """Read an image file as RGB uint8 (H, W, 3).

    Args:
        path: the file.
        max_pixels, max_bytes: limits on width × height and on the file's size.
        on_notice: as `decode` takes it.

    Raises:
        SourceError: there is no such file, or it is not a complete image of a known format.
        ImageTooLargeError: it is over `max_bytes`, or its header states more than `max_pixels`.
    """
    name = os.fspath(path)
    try:
        with Path(name).open("rb") as file:
            # One byte more than allowed shows that a file is too large, whatever size the system states.
            data = file.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise SourceError(f"{shortened(name)}: no such file") from error
    except IsADirectoryError as error:
        raise SourceError(f"{shortened(name)}: expected an image, this is a folder") from error
    except (OSError, ValueError) as error:
        raise SourceError(f"{shortened(name)}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > max_bytes:
        raise ImageTooLargeError(f"{name}: over max_bytes = {max_bytes:,}; raise max_bytes to read it")
    return decode(data, name=name, max_pixels=max_pixels, on_notice=on_notice)


def decode(data: bytes, *, name: str = "", max_pixels: int = MAX_PIXELS, on_notice: Notify | None = None) -> UInt8:
    """Decode an image file's bytes to RGB uint8 (H, W, 3); of an animation, the first frame.

    The stored rotation is applied, transparency is laid on white, 16 bits become 8 by dividing by 257.

    Args:
        data: the file's bytes.
        name: what to call it in messages.
        max_pixels: limit on width × height, checked in the header before decoding.
        on_notice: hears what was odd about the file; a warning of the log `mien` if not given.

    Raises:
        SourceError: it is not a complete image of a known format.
        ImageTooLargeError: the header states more than `max_pixels`.
    """
    name = name or "the image"
    image_format = _check_header(data, name, max_pixels)
    if not is_complete(data, image_format):
        if image_format != "JPEG" or not _lacks_only_its_end(data):
            raise SourceError(f"{name}: a {image_format} that is cut off or damaged ({len(data):,} bytes)")
        (on_notice or warn)(f"{name}: the JPEG lacks its end marker; the image is complete")
        data += b"\xff\xd9"
    try:
        return _decode_heic(data, name) if image_format == "HEIC" else _decode(data, image_format, name)
    except MienError:
        raise
    except Exception as error:
        # Whatever a decoder raises on a strange file is that file's error, and ends no batch.
        reason = getattr(error, "err", None) or error
        raise SourceError(f"{name}: a {image_format} that cannot be decoded: {reason}") from error


def _decode(data: bytes, image_format: str, name: str) -> UInt8:
    """By OpenCV."""
    import cv2

    with quiet():
        # By default OpenCV drops alpha, cuts 16 bits to 8 and turns some formats by EXIF.
        raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is None:
        raise SourceError(f"{name}: a {image_format} that is cut off or damaged and cannot be decoded")
    if image_format == "AVIF" and raw.dtype == np.uint16:
        # OpenCV leaves 10 and 12 bits as they are.
        raw = (raw.astype(np.uint32) * 65535 // (2 ** avif_depth(data) - 1)).astype(np.uint16)
    # OpenCV reads 8-bit TIFFs by libtiff's RGBA interface, which multiplies colours by alpha; others are as stored.
    multiplied = image_format in ("TIFF", "BigTIFF") and raw.dtype == np.uint8
    rgb = _to_rgb8(raw, name, multiplied=multiplied)
    return _orient(rgb, read_orientation(data, image_format))


def _decode_heic(data: bytes, name: str) -> UInt8:
    """By libheif, which joins the tiles and applies the rotation."""
    try:
        import pillow_heif
    except ImportError as error:
        raise SourceError(f"{name}: a HEIC image: {MissingExtraError('pillow-heif', 'heic')}") from error
    image = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
    channels = len(image.mode.removesuffix(";16")) if image.mode != "L" else 1
    # Rows may be padded to the stride.
    rows = np.frombuffer(image.data, np.uint8).reshape(image.size[1], image.stride)
    pixels = rows[:, : image.size[0] * channels].reshape(image.size[1], image.size[0], channels)
    return on_white(pixels) if channels == 4 else np.ascontiguousarray(to_rgb(pixels))


def _lacks_only_its_end(data: bytes) -> bool:
    """Whether a JPEG without an end marker has all of its rows.

    Without its last bytes such an image differs in its lower right corner only; one that is cut off differs where it
    was cut, and in all that follows.
    """

    whole = _decode_grey(data + b"\xff\xd9")
    # Until something changes: the last bytes may be padding that no pixel depends on.
    for dropped in (4, 8, 16, 32, 64):
        shorter = _decode_grey(data[:-dropped] + b"\xff\xd9")
        if whole is None or shorter is None or whole.shape != shorter.shape:
            return False
        rows, columns = np.nonzero(whole != shorter)
        if len(rows):
            return bool(rows.min() >= whole.shape[0] - END_ROWS and columns.min() >= whole.shape[1] * 3 // 4)
    return False


def _decode_grey(jpeg: bytes) -> npt.NDArray[np.uint8] | None:
    """By FFmpeg, which unlike libjpeg writes nothing to stderr; None where it cannot."""
    import av

    decoder = av.CodecContext.create("mjpeg", "r")
    try:
        frames = decoder.decode(av.Packet(jpeg)) + decoder.decode(None)
        return np.asarray(frames[0].to_ndarray(format="gray"), np.uint8)
    except (av.FFmpegError, ValueError, IndexError):
        return None


def encode(image: UInt8, image_format: str = "png", *, quality: int = 95) -> bytes:
    """A picture file's bytes from RGB (H, W, 3) or grey (H, W) uint8; `quality` is for JPEG and WebP.

    Raises:
        ConfigError: for a format that is not written.
    """
    import cv2

    key = image_format.lower()
    if key not in WRITTEN:
        raise ConfigError(f"cannot write {image_format!r} pictures: expected one of {', '.join(WRITTEN)}")
    options = {"jpeg": [cv2.IMWRITE_JPEG_QUALITY, quality], "webp": [cv2.IMWRITE_WEBP_QUALITY, quality]}
    bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, buffer = cv2.imencode(WRITTEN[key], bgr, options.get(key, []))
    if not done:
        raise ConfigError(f"a picture of shape {image.shape} cannot be written as {key}")
    return bytes(buffer)


def write(path: str | os.PathLike[str], image: UInt8, *, quality: int = 95) -> Path:
    """Write RGB (H, W, 3) or grey (H, W) uint8 to a file in the format of its ending, whole or not at all.

    Raises:
        ConfigError: for an ending that names no format that is written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if SUFFIXES.get(suffix) not in WRITTEN:
        raise ConfigError(f"{target}: expected an ending that is written: {', '.join(WRITTEN.values())}")
    data = encode(image, SUFFIXES[suffix], quality=quality)
    write_whole(target, data)
    return target


def resize(image: npt.NDArray[Number], height: int, width: int) -> npt.NDArray[Number]:
    """Resize (H, W) or (H, W, C), uint8 or float: by area where it shrinks, linearly where it grows."""
    if image.ndim not in (2, 3) or 0 in image.shape or height < 1 or width < 1:
        raise ValueError(f"cannot resize a picture of shape {image.shape} to {height} × {width}")
    if image.shape[:2] == (height, width):
        return image
    import cv2

    # In two steps, for an image may shrink in one direction and grow in the other.
    smaller = (min(width, image.shape[1]), min(height, image.shape[0]))
    out: Any = image
    if smaller != (image.shape[1], image.shape[0]):
        out = cv2.resize(out, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (width, height):
        out = cv2.resize(out, (width, height), interpolation=cv2.INTER_LINEAR)
    # OpenCV drops a last axis of length 1.
    return np.asarray(out, image.dtype).reshape(height, width, *image.shape[2:])


def to_grey(image: UInt8) -> UInt8:
    """Grey (H, W) from RGB (H, W, 3) by BT.601; a grey picture, (H, W) or (H, W, 1), keeps its values."""
    if image.ndim == 2:
        return image
    if image.ndim == 3 and image.shape[2] == 1:
        return image[:, :, 0]
    if image.ndim == 3 and image.shape[2] == 3:
        import cv2

        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    raise ValueError(f"expected a picture (H, W, 3) or (H, W), not {image.shape}")


def to_rgb(image: UInt8) -> UInt8:
    """RGB (H, W, 3) from grey (H, W) or (H, W, 1); an RGB picture passes as it is."""
    if image.ndim == 3 and image.shape[2] == 3:
        return image
    import cv2

    return np.asarray(cv2.cvtColor(to_grey(image), cv2.COLOR_GRAY2RGB), np.uint8)


def warn(text: str) -> None:
    """Log a notice that nobody else wants to hear."""
    import logging

    logging.getLogger("mien").warning(text)


def on_white(rgba: UInt8) -> UInt8:
    """RGB (H, W, 3) from RGBA (H, W, 4) with straight alpha."""
    # uint16 holds the largest sum, 255 × 255 + 127.
    alpha = rgba[:, :, 3:].astype(np.uint16)
    if alpha.min() == 255:
        return np.ascontiguousarray(rgba[:, :, :3])
    return ((rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)


def _check_header(data: bytes, name: str, max_pixels: int) -> str:
    if not data:
        raise SourceError(f"{name}: the file is empty, expected a picture")
    image_format = sniff(data)
    if image_format is None:
        raise SourceError(f"{name}: {describe_unknown(data)}")
    try:
        sizes = read_size(data, image_format), read_tile_size(data, image_format)
    except ValueError as error:
        raise SourceError(f"{name}: a {image_format} that cannot be decoded: {error}") from error
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{name}: {width:,} × {height:,} pixels are more than max_pixels = {max_pixels:,}; "
            "raise max_pixels to read it"
        )
    return image_format


def _to_rgb8(raw: npt.NDArray[Any], name: str, *, multiplied: bool) -> UInt8:
    """RGB uint8 from what OpenCV decodes: BGR, BGRA (colours `multiplied` by alpha already, or not) or grey."""
    import cv2

    if raw.dtype == np.uint16:
        # 257 = 65535 / 255, so that white stays white; 256 would not reach it exactly.
        raw = ((raw.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if raw.dtype != np.uint8:
        raise SourceError(f"{name}: pixels of {raw.dtype} have no fixed range; expected 8 or 16 bits")
    if raw.ndim == 2 or raw.shape[2] == 1:
        return to_rgb(raw)
    if raw.shape[2] == 3:
        return np.asarray(cv2.cvtColor(raw, cv2.COLOR_BGR2RGB), np.uint8)
    rgba = np.asarray(cv2.cvtColor(raw, cv2.COLOR_BGRA2RGBA), np.uint8)
    if multiplied:
        # The colours are multiplied by alpha already: only the white is missing.
        return np.asarray(np.minimum(rgba[:, :, :3].astype(np.uint16) + (255 - rgba[:, :, 3:]), 255), np.uint8)
    return on_white(rgba)


def _orient(image: UInt8, orientation: int) -> UInt8:
    """Turn a picture upright by its EXIF orientation."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


# The log level is global to the process: the last to leave restores it.
_quiet_lock = threading.Lock()
_quiet_state = {"depth": 0, "level": 0}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep OpenCV's own messages off stderr: a bad file raises an exception."""
    import cv2

    log = cv2.utils.logging
    with _quiet_lock:
        if _quiet_state["depth"] == 0:
            _quiet_state["level"] = log.getLogLevel()
            log.setLogLevel(log.LOG_LEVEL_SILENT)
        _quiet_state["depth"] += 1
    try:
        yield
    finally:
        with _quiet_lock:
            _quiet_state["depth"] -= 1
            if _quiet_state["depth"] == 0:
                log.setLogLevel(_quiet_state["level"])
