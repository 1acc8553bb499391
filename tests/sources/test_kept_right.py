"""What other people's files, terminals and systems did to other software, and never did to Mien: it stays so."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from small_clips import number_of, picture
from small_clips import write_clip as write_numbers

from mien.images.pictures import read
from mien.sources.opening import open_source

Image = pytest.importorskip("PIL.Image")

CONTAINERS = {
    "mp4": "mpeg4", "m4v": "mpeg4", "mov": "mpeg4", "3gp": "mpeg4", "mkv": "mpeg4", "avi": "mpeg4", "ts": "mpeg2video",
    "mts": "mpeg2video", "m2ts": "mpeg2video", "mpg": "mpeg1video", "mpeg": "mpeg1video", "vob": "mpeg2video",
    "wmv": "wmv2", "asf": "wmv2", "webm": "libvpx", "flv": "flv", "ogv": "libtheora", "nut": "mpeg4",
    "mxf": "mpeg2video", "mjpeg": "mjpeg", "gif": "gif",
}  # fmt: skip


@pytest.mark.parametrize("ending", CONTAINERS)
def test_containers_of_all_kinds_give_their_frames(tmp_path: Path, ending: str) -> None:
    codec = CONTAINERS[ending]
    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg does not write {codec}")
    path = tmp_path / f"clip.{ending}"
    pixels = {"mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        # Sizes that every one of these codecs takes.
        stream.height, stream.width, stream.pix_fmt = 144, 176, pixels
        stream.bit_rate = 2_000_000
        for number in range(10):
            image = np.full((144, 176, 3), 10 + 20 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    with open_source(path) as source:
        frames = list(source)
    assert len(frames) == 10
    assert all(later.time_s > earlier.time_s for earlier, later in pairwise(frames))
    means = [float(frame.image.mean()) for frame in frames]
    assert np.allclose(means, [10 + 20 * number for number in range(10)], atol=20)


def test_frames_of_uneven_times_keep_them(tmp_path: Path) -> None:
    stamps = [0, 40, 50, 400, 410, 1000]
    clip = write_numbers(tmp_path / "vfr.mkv", [picture(number) for number in range(6)], stamps_ms=stamps)
    with open_source(clip) as source:
        found = [(number_of(frame.image), round(1000 * frame.time_s)) for frame in source]
    assert found == list(enumerate(stamps))


@pytest.mark.parametrize("mode", ["CMYK.jpg", "P.png", "P.gif", "LA.png", "LAB.tif", "I;16.png", "1.tif", "YCbCr.jpg"])
def test_colors_of_all_kinds_are_read(tmp_path: Path, mode: str) -> None:
    ramp = np.linspace(40, 215, 64).astype(np.uint8)
    grey = np.tile(ramp, (64, 1))
    rgb = np.stack([grey, grey, grey], axis=-1)
    name, _, ending = mode.partition(".")
    path = tmp_path / f"picture.{ending}"
    if name == "I;16":
        Image.fromarray(grey.astype(np.uint16) * 257).save(path)
    elif name == "LAB":
        lab = np.stack([grey, np.full_like(grey, 128), np.full_like(grey, 128)], axis=-1)
        Image.frombytes("LAB", (64, 64), (lab ^ np.uint8([0, 128, 128])).tobytes()).save(path)
    elif name == "1":
        Image.fromarray(np.where(grey > 127, 255, 0).astype(np.uint8)).convert("1").save(path)
    else:
        # From grey, since a palette for all colors would dither them.
        Image.fromarray(grey if name == "P" else rgb).convert(name).save(path)
    found = read(path).astype(float)
    assert found.shape == (64, 64, 3)
    assert found[:, -8:].mean() > found[:, :8].mean() + 100
    # Grey stays grey, whatever it was stored as; the white of LAB is that of paper, a little warmer than a screen's.
    assert np.abs(found - found.mean(axis=-1, keepdims=True)).max() < (32 if name == "LAB" else 16)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name not in ("LANG", "LC_ALL", "PYTHONUTF8")}
    return subprocess.run(
        [sys.executable, "-m", "mien", *arguments], env=variables | environment, capture_output=True, timeout=300,
        check=False, encoding="utf-8", errors="surrogateescape",
    )  # fmt: skip


@pytest.mark.parametrize("locale", ["C", "POSIX", "tr_TR.UTF-8"])
def test_names_and_words_survive_any_locale(tmp_path: Path, locale: str) -> None:
    photo = tmp_path / "Gesicht İıß 表情.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 255, (48, 48, 3), np.uint8)).save(photo)
    rows = tmp_path / "rows.csv"
    ended = run("analyze", str(photo), "--detector", "none", "--model", "mien-xs", "--out", str(rows), LC_ALL=locale)
    assert ended.returncode == 0, ended.stderr
    assert photo.name in rows.read_text(encoding="utf-8")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_the_output_is_one_line(tmp_path: Path) -> None:
    photo = tmp_path / "face.png"
    Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(photo)
    with open("/dev/full", "w") as full:  # noqa: PTH123
        ended = subprocess.run(
            [sys.executable, "-m", "mien", "analyze", str(photo), "--detector", "none", "--json"], stdout=full,
            stderr=subprocess.PIPE, text=True, timeout=300, check=False,
        )  # fmt: skip
    assert ended.returncode not in (0, 120)
    assert "Traceback" not in ended.stderr
    assert "No space left" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
