"""What the first bytes of an image say: its format, size and orientation, without decoding it.

Everything here reads untrusted bytes; what does not parse is a ValueError.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

FORMATS = ("JPEG", "PNG", "WebP", "BMP", "TIFF", "GIF", "AVIF", "HEIC")
"""The formats that are read, in the order in which messages list them; HEIC needs the extra `heic`."""

HEAD_BYTES = 64
"""As many bytes of a file as `sniff` needs."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
MAGIC = {
    b"\xff\xd8\xff": "JPEG", PNG_MAGIC: "PNG", b"BM": "BMP",
    b"II*\x00": "TIFF", b"MM\x00*": "TIFF", b"II+\x00": "BigTIFF", b"MM\x00+": "BigTIFF", b"GIF87a": "GIF",
    b"GIF89a": "GIF",
}  # fmt: skip
AVIF_BRANDS = frozenset([b"avif", b"avis"])
HEIC_BRANDS = frozenset([b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"])

TIFF_WIDTH, TIFF_HEIGHT, TIFF_ORIENTATION, TIFF_TILE_WIDTH, TIFF_TILE_HEIGHT = 256, 257, 274, 322, 323
# TIFF types SHORT, LONG and LONG8, as letters of struct.
TIFF_INTEGERS = {3: "H", 4: "I", 16: "Q"}
# The frame headers; DHT (C4), JPG (C8) and DAC (CC) lie among them.
JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Markers without a length: TEM, RST0 to RST7, SOI.
JPEG_BARE = frozenset([0x01, *range(0xD0, 0xD9)])
JPEG_SCAN, JPEG_APP1 = 0xDA, 0xE1


def sniff(data: bytes) -> str | None:
    """The format that the first bytes announce, one of FORMATS or BigTIFF, or None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return _sniff_brands(data)
    return next((name for magic, name in MAGIC.items() if data.startswith(magic)), None)


def _sniff_brands(data: bytes) -> str | None:
    """AVIF and HEIC are made of boxes, as MP4 is: their first brand tells images from videos."""
    end = min(int.from_bytes(data[:4], "big"), len(data))
    # Four bytes of version lie between the first brand and the others.
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))]
    if brands[0] not in AVIF_BRANDS | HEIC_BRANDS:
        return None
    # An AVIF may be a general `mif1` by its first brand and say `avif` only further on.
    return "AVIF" if AVIF_BRANDS & set(brands) else "HEIC"


def read_size(data: bytes, image_format: str) -> tuple[int, int]:
    """Width and height in pixels as the header states them, before any rotation.

    Raises:
        ValueError: when the header is cut off or makes no sense.
    """
    try:
        width, height = SIZES[image_format](data)
    except (struct.error, IndexError) as error:
        raise ValueError("its header is cut off") from error
    if width <= 0 or height <= 0:
        raise ValueError(f"its header states a size of {width} × {height}")
    return width, height


def read_tile_size(data: bytes, image_format: str) -> tuple[int, int]:
    """Width and height of a TIFF's tiles, for which a decoder makes room however small the picture; 0, 0 without tiles.

    Raises:
        ValueError: when the header is cut off.
    """
    if image_format not in ("TIFF", "BigTIFF"):
        return 0, 0
    try:
        tags = _tiff_tags(data)
    except (struct.error, IndexError) as error:
        raise ValueError("its header is cut off") from error
    return tags.get(TIFF_TILE_WIDTH, 0), tags.get(TIFF_TILE_HEIGHT, 0)


def read_orientation(data: bytes, image_format: str) -> int:
    """The EXIF orientation, 1–8; 1 where there is none or where it cannot be read."""
    # AVIF has rotation boxes of its own, and decoders must ignore its EXIF orientation.
    if image_format == "AVIF":
        return _avif_orientation(data)
    try:
        exif = EXIFS[image_format](data) if image_format in EXIFS else b""
        orientation = _tiff_tags(exif).get(TIFF_ORIENTATION, 1) if exif else 1
    except (struct.error, IndexError, ValueError):
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def is_complete(data: bytes, image_format: str) -> bool:
    """Whether the picture's end is there, for the formats whose decoders may return half a picture."""
    if image_format == "JPEG":
        # Entropy-coded data cannot hold this marker, and a thumbnail's is before the scan.
        scan = max(data.find(b"\xff\xda"), 0)
        return data.rfind(b"\xff\xd9", scan) >= 0
    if image_format == "PNG":
        try:
            return any(kind == b"IEND" for kind, _ in _png_chunks(data, verify=True))
        except (struct.error, ValueError):
            return False
    return True


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and payload of each segment up to the first scan."""
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError("it has no JPEG segment where one should start")
        marker = data[at + 1]
        # Any number of 0xFF may pad a marker.
        if marker == 0xFF:
            at += 1
        elif marker in JPEG_BARE:
            at += 2
        else:
            (length,) = struct.unpack_from(">H", data, at + 2)
            yield marker, data[at + 4 : at + 2 + length]
            # Compressed data follow, which have no length.
            if marker == JPEG_SCAN:
                return
            at += 2 + length


def _jpeg_size(data: bytes) -> tuple[int, int]:
    for marker, payload in _jpeg_segments(data):
        if marker in JPEG_SIZES:
            height, width = struct.unpack_from(">HH", payload, 1)
            return width, height
    raise ValueError("it states no size")


def _jpeg_exif(data: bytes) -> bytes:
    for marker, payload in _jpeg_segments(data):
        if marker == JPEG_APP1 and payload.startswith(b"Exif\0\0"):
            return payload[6:]
    return b""


def _png_chunks(data: bytes, *, verify: bool = False) -> Iterator[tuple[bytes, bytes]]:
    """Type and payload of each chunk up to IEND; `verify` checks the checksums too."""
    at = len(PNG_MAGIC)
    while True:
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if verify and zlib.crc32(body) != checksum:
            raise ValueError("a PNG chunk is damaged")
        yield body[:4], body[4:]
        if body[:4] == b"IEND":
            return
        at += 12 + length


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return width, height


def _png_exif(data: bytes) -> bytes:
    return next((payload for kind, payload in _png_chunks(data) if kind == b"eXIf"), b"")


def _gif_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", data, 6)
    return width, height


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    # OS/2's header of 12 bytes has 16-bit sizes; a negative height means rows from the top.
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return width, abs(height)


def _webp_size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        # The upper two bits are a scale for the display.
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = struct.unpack_from("<HBHB", data, 24)
        return (low_width | high_width << 16) + 1, (low_height | high_height << 16) + 1
    raise ValueError(f"its first WebP chunk is {kind!r}")


def _webp_exif(data: bytes) -> bytes:
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"EXIF":
            # Some writers keep JPEG's prefix, which WebP does not have.
            return data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0")
        # Chunks are padded to even lengths.
        at += 8 + length + length % 2
    return b""


def _tiff_tags(data: bytes) -> dict[int, int]:
    """The single integers of a TIFF's first directory by tag; EXIF is built the same way."""
    order = "<" if data[:2] == b"II" else ">"
    # BigTIFF has 64-bit offsets and counts.
    big = data[2:4] in (b"+\x00", b"\x00+")
    offset, number, value_at = ("Q", "Q", 12) if big else ("I", "H", 8)
    (start,) = struct.unpack_from(order + offset, data, 8 if big else 4)
    (count,) = struct.unpack_from(order + number, data, start)
    first, step = start + struct.calcsize(order + number), value_at + struct.calcsize(order + offset)
    tags = {}
    # A made-up count must not cost time.
    for at in range(first, first + step * min(count, 4096), step):
        tag, kind, values = struct.unpack_from(order + "HH" + offset, data, at)
        if kind in TIFF_INTEGERS and values == 1:
            (tags[tag],) = struct.unpack_from(order + TIFF_INTEGERS[kind], data, at + value_at)
    return tags


def _box_payloads(data: bytes, kind: bytes) -> Iterator[bytes]:
    """What follows each name of a box in the header of an AVIF or HEIC."""
    # Boxes are found by name, not by walking them, so stop at the pixels: any bytes may occur there.
    end = data.find(b"mdat")
    at = data.find(kind)
    while 0 <= at < (end if end >= 0 else len(data)):
        yield data[at + 4 :][:16]
        at = data.find(kind, at + 4)


def _heif_size(data: bytes) -> tuple[int, int]:
    """The largest of the stated sizes: a picture of tiles states its own and theirs."""
    sizes = [struct.unpack_from(">II", payload, 4) for payload in _box_payloads(data, b"ispe")]
    if not sizes:
        raise ValueError("it states no size")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return width, height


def _avif_orientation(data: bytes) -> int:
    """The rotation (irot) and then mirroring (imir) of an AVIF as an EXIF orientation."""
    turns = next((payload[0] & 3 for payload in _box_payloads(data, b"irot") if payload), 0)
    mirror = next((payload[0] & 1 for payload in _box_payloads(data, b"imir") if payload), None)
    return AVIF_ORIENTATIONS[turns, mirror]


def avif_depth(data: bytes) -> int:
    """Bits a channel: 8, 10 or 12."""
    flags = next((payload[2] for payload in _box_payloads(data, b"av1C") if len(payload) > 2), 0)
    # In the third byte of av1C, 0x40 is high_bitdepth and 0x20 twelve_bit.
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def _tiff_size(data: bytes) -> tuple[int, int]:
    tags = _tiff_tags(data)
    return tags.get(TIFF_WIDTH, 0), tags.get(TIFF_HEIGHT, 0)


SIZES: dict[str, Callable[[bytes], tuple[int, int]]] = {
    "JPEG": _jpeg_size, "PNG": _png_size, "WebP": _webp_size,
    "BMP": _bmp_size, "TIFF": _tiff_size, "BigTIFF": _tiff_size, "GIF": _gif_size,
    "AVIF": _heif_size, "HEIC": _heif_size,
}  # fmt: skip

AVIF_ORIENTATIONS = {
    (0, None): 1, (0, 1): 2, (2, None): 3, (0, 0): 4, (1, 0): 5, (3, None): 6, (3, 0): 7, (1, None): 8,
    (1, 1): 7, (2, 0): 2, (2, 1): 4, (3, 1): 5,
}  # fmt: skip
"""EXIF orientation by quarter turns anticlockwise and mirroring: 0 swaps top and bottom, 1 left and right."""

EXIFS: dict[str, Callable[[bytes], bytes]] = {"JPEG": _jpeg_exif, "PNG": _png_exif, "WebP": _webp_exif}
