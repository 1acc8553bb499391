"""What a file holds that was given as an image and cannot be read as one, in words."""

from __future__ import annotations

from mien.images.header import FORMATS

VIDEO = "a video: read it with `mien analyze` or Pipeline.stream"
JXL = "a JPEG XL image, which is not read yet: save it as PNG or JPEG"
WEB = "a web page, not an image: perhaps a download failed; save the image itself"
OTHERS = (
    (b"%PDF", "a PDF document: save its pages as PNG, or take the photos out of it"),
    (b"\x1aE\xdf\xa3", VIDEO), (b"OggS", VIDEO), (b"\x00\x00\x01\xba", VIDEO), (b"\x00\x00\x01\xb3", VIDEO),
    (b"FLV", VIDEO), (b"%!PS", "a PostScript drawing: save it as PNG"),
    (b"8BPS", "a Photoshop file: save it as PNG or JPEG"),
    (b"\xff\x0a", JXL), (b"\x00\x00\x00\x0cJXL ", JXL),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 image: save it as PNG or JPEG"),
    (b"PK\x03\x04", "a ZIP archive or office document: unpack it"), (b"<!DOCTYPE html", WEB), (b"<html", WEB),
)  # fmt: skip
"""How other files begin that are given for images, and what to say of them."""


def describe_unknown(data: bytes) -> str:
    """Why bytes are not an image that is read, for an error message."""
    if data[4:8] == b"ftyp" or (data[:4] == b"RIFF" and data[8:11] == b"AVI"):
        return VIDEO
    text = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n")
    if b"<svg" in text and text.startswith(b"<"):
        return "an SVG drawing, which has no pixels: save it as PNG"
    for start, words in OTHERS:
        if data.startswith(start) or (words == WEB and text.lower().startswith(start.lower())):
            return words
    return f"starts with {data[:12]!r}, which is not a {', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
