"""From a client's bytes to a picture, in bounded time and memory."""

from __future__ import annotations

import re

from mien.apps.service.problems import Problem
from mien.image_header import FORMATS, sniff
from mien.images import UInt8, decode

MAX_SCANS = 100
"""A progressive JPEG has some ten scans; thousands, which cost few bytes each, would keep a core for minutes."""

_MARKER = re.compile(rb"\xff[\xd9\xda]")


def decode_picture(data: bytes, *, name: str, max_pixels: int) -> UInt8:
    """Decode to RGB uint8 (H, W, 3); of an animation, the first frame.

    Raises:
        Problem: it is no picture.
        SourceError: it is damaged, or has more than `max_pixels`.
    """
    image_format = sniff(data)
    if image_format is None:
        known = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
        raise Problem("not-a-picture", f"{name}: starts with {data[:12]!r}, which is not a {known}")
    if image_format == "JPEG" and _count_scans(data) > MAX_SCANS:
        raise Problem("damaged-picture", f"{name}: a JPEG of more than {MAX_SCANS} scans")
    return decode(data, name=name, max_pixels=max_pixels)


def _count_scans(data: bytes) -> int:
    """Scans up to the picture's end, those of a thumbnail included; counting ends above MAX_SCANS."""
    scans = 0
    for match in _MARKER.finditer(data):
        if match[0] == b"\xff\xda":
            scans += 1
            if scans > MAX_SCANS:
                break
        elif scans:
            break
    return scans
