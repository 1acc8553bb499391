"""From a client's bytes to a picture, in bounded time and memory."""

from __future__ import annotations

import re

from mien.apps.service.problems import Problem
from mien.images.header import FORMATS, sniff
from mien.images.pictures import UInt8, decode

MAX_SCANS = 32
"""A progressive JPEG has some ten; each takes 33 bytes and 0.1 s of a core where the picture has 16 megapixels."""

MAX_MARKERS = 5000

_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_SOI, _EOI, _SOS, _TEM = 0xD8, 0xD9, 0xDA, 0x01


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
    if image_format == "JPEG" and _has_too_many_scans(data):
        raise Problem("damaged-picture", f"{name}: a JPEG of more than {MAX_SCANS} scans or {MAX_MARKERS:,} segments")
    return decode(data, name=name, max_pixels=max_pixels)


def _has_too_many_scans(data: bytes) -> bool:
    """Walk a JPEG's segments and scans as a decoder does: what looks like a marker within a segment is none."""
    scans, at = 0, 2
    for _ in range(MAX_MARKERS):
        found = _MARKER.search(data, at)
        if found is None or found[1][0] == _EOI:
            return False
        at = found.end()
        scans += found[1][0] == _SOS
        if scans > MAX_SCANS:
            return True
        if found[1][0] not in (_SOI, _TEM):
            at += int.from_bytes(data[at : at + 2], "big")
    return True
