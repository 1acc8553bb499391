"""Small videos and GIFs to read, made on the spot."""

from __future__ import annotations

import gc
import threading
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from mien.structures import UInt8

MILLISECOND = Fraction(1, 1000)


def picture(number: int, height: int = 48, width: int = 64) -> UInt8:
    """A picture whose grey says its number, for 0–24."""
    return np.full((height, width, 3), 10 + 10 * number, np.uint8)


def number_of(image: UInt8) -> int:
    return round((float(image.mean()) - 10) / 10)


def write_clip(
    path: Path, images: Sequence[UInt8], *, stamps_ms: Sequence[int] | None = None, codec: str = "libx264",
    pixels: str = "yuv444p", rotation: int = 0, mirror: bool = False, options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None, sound: bool = False,
) -> Path:  # fmt: skip
    """Write pictures at their times, each 40 ms if none are given."""
    stamps = list(stamps_ms) if stamps_ms is not None else [40 * index for index in range(len(images))]
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = pixels
        stream.codec_context.time_base = MILLISECOND
        if rotation or mirror:
            stream.set_display_rotation(rotation, hflip=mirror)
        audio: Any = container.add_stream("aac", rate=8000) if sound else None
        for image, stamp in zip(images, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = stamp, MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            write_silence(container, audio)
    return path


def write_silence(container: Any, audio: Any, seconds: int = 1) -> None:
    silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000 * seconds), np.float32), format="fltp", layout="mono")
    silence.sample_rate, silence.pts = 8000, 0
    container.mux(audio.encode(silence))
    container.mux(audio.encode())


def write_sound(path: Path) -> Path:
    """A file without video."""
    with av.open(str(path), "w") as container:
        write_silence(container, container.add_stream("aac", rate=8000))
    return path


def gif(pictures: Sequence[Sequence[int]], *, width: int, disposal: int = 1, transparent: int | None = None) -> bytes:
    """An animated GIF of indices into red, green, blue, black; 10 hundredths of a second each."""
    height = len(pictures[0]) // width
    size = width.to_bytes(2, "little") + height.to_bytes(2, "little")
    out = b"GIF89a" + size + b"\xf1\x00\x00" + bytes([255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0])
    for pixels in pictures:
        flags = disposal << 2 | (transparent is not None)
        out += bytes([0x21, 0xF9, 4, flags, 10, 0, transparent or 0, 0]) + b"\x2c" + bytes(4) + size + b"\x00"
        # A clear code before each pixel keeps LZW codes at three bits.
        codes = [code for pixel in pixels for code in (4, pixel)] + [5]
        bits = sum(code << 3 * place for place, code in enumerate(codes))
        data = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
        out += bytes([2, len(data)]) + data + b"\x00"
    return out + b"\x3b"


def open_files(folder: Path) -> list[str]:
    """What this process holds open in a folder."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [str(link.readlink()) for link in links if str(link.readlink()).startswith(str(folder))]


def held(besides: Sequence[object] = ()) -> list[object]:
    """PyAV's frames and containers in memory, besides those that a test found there when it began."""
    kinds = av.VideoFrame, av.container.InputContainer
    known = {id(thing) for thing in besides}
    # By `type`: `isinstance` asks objects for their class, at which some of other libraries warn.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), kinds) and id(thing) not in known]


def captures() -> list[threading.Thread]:
    """The capture threads that are alive."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("capture")]
