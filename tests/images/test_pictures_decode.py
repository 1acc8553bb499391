from __future__ import annotations

import io
import os
import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mien.errors import ConfigError, ImageTooLargeError, MienError, SourceError
from mien.images import pictures as images

LOSSLESS = ["PNG", "BMP", "TIFF"]
PILLOW_FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """A smooth picture without any symmetry, RGB (40, 60, 3)."""
    small = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)
    return cv2.resize(small, (60, 40))


def packed(image: np.ndarray, image_format: str, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, image_format, **options)
    return file.getvalue()


def header(image_format: str, width: int, height: int) -> bytes:
    """The beginning of a picture file of that size, without any pixels."""
    if image_format == "PNG":
        body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    if image_format == "JPEG":
        return b"\xff\xd8\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    if image_format == "GIF":
        return b"GIF89a" + struct.pack("<HH", width, height) + b"\x00\x00\x00"
    if image_format == "BMP":
        return b"BM" + bytes(12) + struct.pack("<Iii", 40, width, -height) + bytes(28)
    if image_format == "TIFF":
        tags = struct.pack(">HHII", 256, 4, 1, width) + struct.pack(">HHII", 257, 4, 1, height)
        return b"MM\x00*" + struct.pack(">IH", 8, 2) + tags
    if image_format == "VP8":
        return b"RIFF....WEBPVP8 ....---\x9d\x01\x2a" + struct.pack("<HH", width, height)
    if image_format == "VP8L":
        return b"RIFF....WEBPVP8L....\x2f" + struct.pack("<I", width - 1 | height - 1 << 14)
    sizes = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return b"RIFF....WEBPVP8X...." + bytes(4) + sizes


@pytest.mark.parametrize("image_format", PILLOW_FORMATS)
def test_every_format_is_read_as_pillow_reads_it(picture: np.ndarray, image_format: str) -> None:
    data = packed(picture, image_format)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    decoded = images.decode(data)
    assert decoded.dtype == np.uint8
    assert decoded.shape == picture.shape
    np.testing.assert_allclose(decoded.astype(int), expected, atol=0 if image_format in LOSSLESS else 4)


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(picture: np.ndarray, image_format: str, orientation: int) -> None:
    turns = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
             5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
             8: Image.Transpose.ROTATE_90}  # fmt: skip
    exif = Image.Exif()
    exif[0x112] = orientation
    upright = Image.fromarray(picture)
    if orientation in turns:
        upright = upright.transpose(turns[orientation])
    decoded = images.decode(packed(picture, image_format, exif=exif))
    assert decoded.shape == np.asarray(upright).shape
    assert np.abs(decoded.astype(int) - np.asarray(upright)).mean() < 6


def test_a_strange_orientation_is_ignored(picture: np.ndarray) -> None:
    exif = Image.Exif()
    exif[0x112] = 77
    assert images.decode(packed(picture, "PNG", exif=exif)).shape == picture.shape


@pytest.mark.parametrize("image_format", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_on_white(picture: np.ndarray, image_format: str) -> None:
    alpha = np.full(picture.shape[:2], 255, np.uint8)
    alpha[:, :20], alpha[:, 20:40] = 0, 128
    options = {"lossless": True, "exact": True} if image_format == "WEBP" else {}
    decoded = images.decode(packed(np.dstack([picture, alpha]), image_format, **options))
    assert (decoded[:, :20] == 255).all()
    np.testing.assert_array_equal(decoded[:, 40:], picture[:, 40:])
    middle = picture[:, 20:40] * (128 / 255) + 255 * (127 / 255)
    np.testing.assert_allclose(decoded[:, 20:40], middle, atol=1.01)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "JPEG", "GIF", "BMP"])
def test_grey_pictures_become_rgb(picture: np.ndarray, image_format: str) -> None:
    decoded = images.decode(packed(picture[:, :, 0], image_format))
    assert decoded.shape == picture.shape
    assert np.ptp(decoded, axis=2).max() == 0
    np.testing.assert_allclose(decoded.astype(int), images.to_rgb(picture[:, :, 0]), atol=10)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bits_become_8_whatever_the_content(suffix: str, channels: int) -> None:
    values = np.arange(0, 200, dtype=np.uint8).reshape(10, 20)
    deep = np.dstack([values.astype(np.uint16) * 257] * channels)
    if channels == 4:
        deep[:, :, 3] = 65535
    done, data = cv2.imencode(suffix, deep)
    assert done
    np.testing.assert_array_equal(images.decode(data.tobytes()), images.to_rgb(values))


def test_pixels_without_a_fixed_range_are_refused(picture: np.ndarray) -> None:
    _, data = cv2.imencode(".tiff", picture.astype(np.float32))
    with pytest.raises(SourceError, match="float32"):
        images.decode(data.tobytes())


def test_an_animation_gives_its_first_frame(picture: np.ndarray) -> None:
    file = io.BytesIO()
    Image.fromarray(picture).save(
        file, "GIF", save_all=True, append_images=[Image.fromarray(255 - picture)], duration=50
    )
    first = Image.open(io.BytesIO(file.getvalue())).convert("RGB")
    np.testing.assert_allclose(images.decode(file.getvalue()).astype(int), np.asarray(first), atol=1)


@pytest.mark.parametrize(
    ("image_format", "width", "height"),
    [
        *[(name, 50_000, 50_000) for name in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "VP8X")],
        *[(name, 16_000, 15_000) for name in ("VP8", "VP8L")],
    ],
)
def test_a_huge_header_is_refused_before_decoding(image_format: str, width: int, height: int) -> None:
    with pytest.raises(ImageTooLargeError) as caught:
        images.decode(header(image_format, width, height), name="bomb")
    for part in ("bomb", f"{width:,} × {height:,}", "100,000,000", "max_pixels"):
        assert part in str(caught.value)


def test_the_limit_on_pixels_is_an_option(picture: np.ndarray) -> None:
    data = packed(picture, "PNG")
    with pytest.raises(ImageTooLargeError, match="60 × 40"):
        images.decode(data, max_pixels=2399)
    assert images.decode(data, max_pixels=2400).shape == picture.shape


def test_the_limit_on_bytes_is_an_option(picture: np.ndarray, tmp_path: Path) -> None:
    path = images.write(tmp_path / "a.png", picture)
    with pytest.raises(ImageTooLargeError, match="max_bytes"):
        images.read(path, max_bytes=path.stat().st_size - 1)
    assert images.read(path, max_bytes=path.stat().st_size).shape == picture.shape


@pytest.mark.parametrize("image_format", PILLOW_FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_a_cut_off_picture_is_an_error_and_silent(
    picture: np.ndarray, image_format: str, share: float, capfd: pytest.CaptureFixture[str]
) -> None:
    data = packed(picture, image_format)
    with pytest.raises(SourceError, match="some"):
        images.decode(data[: int(len(data) * share)], name="some")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("progressive", [False, True])
def test_half_a_jpeg_is_no_grey_picture(picture: np.ndarray, progressive: bool) -> None:
    data = packed(picture, "JPEG", progressive=progressive, quality=95)
    with pytest.raises(SourceError, match="cut off"):
        images.decode(data[: len(data) // 2])


def test_a_png_with_a_flipped_bit_is_an_error_and_silent(
    picture: np.ndarray, capfd: pytest.CaptureFixture[str]
) -> None:
    data = bytearray(packed(picture, "PNG"))
    data[len(data) // 2] ^= 1
    with pytest.raises(SourceError, match="damaged"):
        images.decode(bytes(data))
    assert capfd.readouterr().err == ""


def test_any_bytes_after_a_magic_number_are_an_error_of_ours(capfd: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    magics = [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"BM",
        b"II*\x00",
        b"MM\x00*",
        b"GIF89a",
        b"RIFF\x99\x00\x00\x00WEBPVP8X",
    ]
    for trial in range(300):
        data = magics[trial % len(magics)] + random.bytes(int(random.integers(0, 200)))
        with pytest.raises(MienError):
            images.decode(data)
    assert capfd.readouterr().err == ""


def test_text_named_jpg_says_what_was_found(tmp_path: Path) -> None:
    path = tmp_path / "note.jpg"
    path.write_text("hello, world")
    with pytest.raises(SourceError, match=r"note\.jpg: starts with b'hello, world'.*not a JPEG, PNG"):
        images.read(path)


def test_missing_empty_and_folder_say_so(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    for name, reason in (("none.png", "no such file"), ("empty.png", "empty"), (".", "folder")):
        with pytest.raises(SourceError, match=reason):
            images.read(tmp_path / name)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read everything")
def test_a_forbidden_file_says_so(tmp_path: Path) -> None:
    path = tmp_path / "secret.png"
    path.touch(mode=0)
    with pytest.raises(SourceError, match="Permission denied"):
        images.read(path)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".jpg", ".webp"])
def test_written_pictures_are_read_again(picture: np.ndarray, tmp_path: Path, suffix: str) -> None:
    path = images.write(tmp_path / f"ä 1{suffix}", picture)
    again = images.read(path)
    assert again.shape == picture.shape
    assert np.abs(again.astype(int) - picture).mean() < (6 if suffix in (".jpg", ".webp") else 1e-9)
    assert list(tmp_path.iterdir()) == [path]


def test_a_grey_picture_is_written_grey(picture: np.ndarray) -> None:
    grey = images.to_grey(picture)
    np.testing.assert_array_equal(images.decode(images.encode(grey, "png")), images.to_rgb(grey))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF document"), (b"<svg xmlns='http://www.w3.org/2000/svg'>", "an SVG drawing"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made -->\n<svg width="3">', "an SVG drawing"),
        (b"\x1aE\xdf\xa3" + bytes(40), "a video"), (b"RIFF\0\0\0\0AVI LIST", "a video"),
        (b"\0\0\0\x20ftypisom", "a video"),
        (b"\xff\x0a" + bytes(30), "a JPEG XL image"), (b"8BPS\0\1", "a Photoshop file"),
        (b"PK\x03\x04abc", "a ZIP archive"),
        (b"\n<!doctype HTML><html>", "a web page"), (b"<note>svg</note>", "starts with b'<note>svg"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_named_in_words(data: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=rf"^me\.jpg: {re.escape(words)}"):
        images.decode(data, name="me.jpg")


def test_an_unknown_ending_is_refused(picture: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.png"):
        images.write(tmp_path / "a.txt", picture)
    with pytest.raises(ConfigError, match="png"):
        images.encode(picture, "heic")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 3)])
@pytest.mark.parametrize("size", [(40, 60), (20, 30), (80, 120), (10, 100), (1, 1), (7, 5)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_resize_keeps_dimensions_kind_and_mean(shape: tuple[int, ...], size: tuple[int, int], dtype: type) -> None:
    gradient = np.broadcast_to(np.linspace(10, 200, 60)[None, :].reshape(1, 60, *[1] * (len(shape) - 2)), shape)
    out = images.resize(gradient.astype(dtype), *size)
    assert out.shape == (*size, *shape[2:])
    assert out.dtype == dtype
    assert out.mean() == pytest.approx(105, abs=1.5)
    assert out.min() >= 9.9
    assert out.max() <= 200.1


def test_resize_averages_where_it_shrinks() -> None:
    checks = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(200)
    assert np.unique(images.resize(checks.astype(np.uint8), 16, 16)).tolist() == [100]


@pytest.mark.parametrize(("shape", "size"), [((0, 5), (3, 3)), ((5, 5), (0, 3)), ((5,), (3, 3))])
def test_resize_refuses_what_has_no_size(shape: tuple[int, ...], size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="cannot resize"):
        images.resize(np.zeros(shape, np.uint8), *size)


def test_grey_follows_bt601(picture: np.ndarray) -> None:
    expected = picture @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(images.to_grey(picture), expected, atol=0.6)
    grey = images.to_grey(picture)
    assert images.to_grey(grey) is grey
    np.testing.assert_array_equal(images.to_grey(grey[:, :, None]), grey)


def test_rgb_from_grey_has_three_equal_channels(picture: np.ndarray) -> None:
    assert images.to_rgb(picture) is picture
    grey = images.to_grey(picture)
    for form in (grey, grey[:, :, None]):
        np.testing.assert_array_equal(images.to_rgb(form), np.dstack([grey] * 3))


def test_grey_refuses_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4, 5\)"):
        images.to_grey(np.zeros((4, 4, 5), np.uint8))


@pytest.mark.data
def test_the_truncated_photo_is_an_error(shared: Path) -> None:
    with pytest.raises(SourceError, match=r"truncated\.jpg"):
        images.read(shared / "data" / "photos" / "truncated.jpg")
