"""Files that other software reads wrongly, opened in the window: their face, or one clear line."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from desks import discard

from mien.apps.desktop.playback import Player, Reading, create_pipeline
from mien.apps.desktop.settings import Settings
from mien.apps.desktop.window import Window
from mien.reading.pipeline import Pipeline

pytestmark = pytest.mark.data

IMAGES = {
    "photo.avif": (320, 320), "download.jfif": (300, 300), "noeoi.jpg": (400, 400), "exif.heic": (320, 320),
    "plain.heic": (320, 320), "iphone_tiles_small.heic": (540, 960),
}  # fmt: skip
"""Height and width of each."""
VIDEOS = ("cam_exif.avi", "short3.mp4", "anam.mp4", "turn2.webm")
HAS_HEIC = importlib.util.find_spec("pillow_heif") is not None

Until = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module")
def pipeline(shared: Path) -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_HOME", str(shared / "weights"))
        return create_pipeline(Reading("mien-xs", "yunet"))


@pytest.fixture
def window(qt: object, until: Until, tmp_path: Path, pipeline: Pipeline) -> Iterator[Window]:
    made = Window(
        Settings(tmp_path / "desktop.ini"), Player(create_pipeline=lambda reading: pipeline), find_cameras=lambda: []
    )
    made.show()
    until(made.isVisible)
    yield made
    discard(made)


def open_and_wait(window: Window, until: Until, path: Path) -> None:
    window.open(str(path))
    until(lambda: window.picture.faces or window.banner.text.text())


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_shown_with_its_face(window: Window, until: Until, shared: Path, name: str) -> None:
    open_and_wait(window, until, shared / "data" / "cases" / name)
    if name.endswith(".heic") and not HAS_HEIC:
        assert "pillow-heif" in window.banner.text.text()
        return
    until(lambda: window.picture.faces)
    assert len(window.picture.faces) == 1
    assert window.picture.result is not None
    assert window.picture.result.frame is not None
    assert window.picture.result.frame.image.shape[:2] == IMAGES[name]
    if name == "noeoi.jpg":
        until(lambda: "lacks its end marker" in window.banner.text.text())


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_is_played_with_its_face(window: Window, until: Until, shared: Path, name: str) -> None:
    open_and_wait(window, until, shared / "data" / "cases" / name)
    until(lambda: window.picture.faces)
    if name == "turn2.webm":
        until(lambda: "from 202 × 360 to 640 × 360 pixels" in window.banner.text.text())
        until(lambda: window.picture.result.frame.image.shape[:2] == (360, 640) and window.picture.faces)


def test_what_is_neither_is_said(window: Window, until: Until, shared: Path) -> None:
    open_and_wait(window, until, shared / "data" / "cases" / "README.md")
    assert "expected a video file" in window.banner.text.text()
