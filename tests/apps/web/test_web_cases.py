"""Files that other software reads wrongly, dropped on the page: a reading, or one clear line."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')

import streamlit as st
from streamlit.testing.v1 import AppTest

from mien.apps.web.analyze import is_video

pytestmark = pytest.mark.data

IMAGES = {
    "photo.avif": (320, 320), "download.jfif": (300, 300), "noeoi.jpg": (400, 400), "exif.heic": (320, 320),
    "plain.heic": (320, 320), "iphone_tiles_small.heic": (960, 540),
}  # fmt: skip
"""Width and height of each."""
VIDEOS = {"cam_exif.avi": 24, "short3.mp4": 3, "anam.mp4": 72, "turn2.webm": 72}
"""Frames of each."""
HAS_HEIC = importlib.util.find_spec("pillow_heif") is not None
WAIT_S = 120


@pytest.fixture(autouse=True)
def _weights(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_HOME", str(shared / "weights"))
    # Streamlit keeps the detector that another test's home led to.
    st.cache_resource.clear()


def show() -> None:
    from mien.apps.web import analyze, session

    session.begin()
    analyze.show()


def open_with(*files: tuple[str, bytes]) -> AppTest:
    app = AppTest.from_function(show, default_timeout=WAIT_S).run()
    app.file_uploader[0].set_value([(name, data, "application/octet-stream") for name, data in files])
    app.run()
    assert not app.exception
    return app


def test_images_are_one_photo_each_of_full_size(shared: Path) -> None:
    files = [(name, (shared / "data" / "cases" / name).read_bytes()) for name in IMAGES]
    # From four photos on the page shows a grid instead.
    for part in (files[:3], files[3:]):
        check_photos(part)


def check_photos(files: list[tuple[str, bytes]]) -> None:
    app = open_with(*files)
    captions = "\n".join(caption.value for caption in app.caption)
    for name, _ in files:
        width, height = IMAGES[name]
        if name.endswith(".heic") and not HAS_HEIC:
            assert any(name in error.value and "pillow-heif" in error.value for error in app.error)
        else:
            assert f"{width:,} × {height:,} pixels. 1 face found by" in captions
    refused = 0 if HAS_HEIC else sum(name.endswith(".heic") for name, _ in files)
    assert len(app.error) == refused
    marked = any("the JPEG lacks its end marker" in warning.value for warning in app.warning)
    assert marked == any(name == "noeoi.jpg" for name, _ in files)


@pytest.mark.parametrize("name", VIDEOS)
def test_videos_have_their_face_throughout(shared: Path, name: str) -> None:
    app = open_with((name, (shared / "data" / "cases" / name).read_bytes()))
    next(button for button in app.button if button.label == "Analyze video").click()
    app.run()
    assert not app.exception
    assert not app.error
    metrics = {metric.label: metric.value for metric in app.metric}
    assert metrics["Frames"] == str(VIDEOS[name])
    assert int(metrics["With a face"].removesuffix("%").strip()) >= 90
    notices = [warning.value for warning in app.warning]
    assert any("turn2.webm" in text and "640 × 360" in text for text in notices) == (name == "turn2.webm")
    assert not any("/tmp" in text for text in notices)


def test_content_decides_what_a_file_is(shared: Path) -> None:
    cases = shared / "data" / "cases"
    assert is_video("short3", (cases / "short3.mp4").read_bytes())
    assert is_video("short3.jpg", (cases / "short3.mp4").read_bytes())
    assert not is_video("photo.mp4", (cases / "photo.avif").read_bytes())
    assert not is_video("README", (cases / "README.md").read_bytes())
