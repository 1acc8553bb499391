from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_clips import captures, number_of, picture

from mien.errors import SourceError
from mien.sources import camera
from mien.sources.camera import CameraGrabber, SyntheticGrabber, create_synthetic, open_camera
from mien.sources.stream import LiveOptions


class Capture:
    """What OpenCV gives for a camera: one blue picture, then none."""

    def __init__(self, device: int | str, backend: int) -> None:
        self.settings: dict[int, float] = {}
        self.pictures = [np.full((4, 6, 3), (255, 0, 0), np.uint8)]

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, key: int, value: float) -> None:
        self.settings[key] = value

    def get(self, key: int) -> float:
        return self.settings.get(key, 0.0)

    def read(self) -> tuple[bool, Any]:
        return (True, self.pictures.pop()) if self.pictures else (False, None)

    def release(self) -> None:
        self.pictures.clear()


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    path = tmp_path / "video7"
    path.touch()
    return path


@pytest.fixture(autouse=True)
def _linux(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")


def test_pictures_are_rgb_and_settings_are_asked_for(device: Path) -> None:
    grabber = CameraGrabber(str(device), LiveOptions(width=1280, height=720, rate_hz=60))
    assert grabber.open() == 60
    image = grabber.read()
    assert image is not None
    assert image[0, 0].tolist() == [0, 0, 255]
    settings = grabber._capture.settings  # type: ignore[union-attr]
    assert settings[cv2.CAP_PROP_FRAME_WIDTH] == 1280
    assert settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")


def test_no_picture_is_none_while_the_camera_is_there_and_an_error_when_it_is_gone(device: Path) -> None:
    grabber = CameraGrabber(str(device), LiveOptions())
    assert grabber.open() is None
    grabber.read()
    assert grabber.read() is None
    device.unlink()
    with pytest.raises(SourceError, match="video7: unplugged"):
        grabber.read()
    with pytest.raises(SourceError, match="no such camera"):
        grabber.open()


def test_a_camera_that_is_not_there_names_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera, "list_cameras", lambda: {"/dev/video4": "Front", "/dev/video5": ""})
    with pytest.raises(SourceError, match=r"camera:87: no such camera; there are /dev/video4 \(Front\), /dev/video5"):
        open_camera(87)
    monkeypatch.setattr(camera, "list_cameras", dict)
    with pytest.raises(SourceError, match="lists no camera"):
        open_camera("/dev/video87")


def test_the_synthetic_camera_is_a_live_source() -> None:
    with create_synthetic([picture(number) for number in range(20)], rate_hz=200) as source:
        frames = [frame for frame, _ in zip(source, range(5), strict=False)]
        assert source.info.rate_hz == 200
    numbers = [number_of(frame.image) for frame in frames]
    indices = [frame.index for frame in frames]
    steps = [(number - numbers[0]) % 20 for number in numbers]
    assert indices[0] == 0
    assert all(step >= index % 20 or index >= 20 for step, index in zip(steps, indices, strict=True))
    for thread in captures():
        thread.join(60)
    assert not captures()


def test_the_synthetic_camera_keeps_its_rate_and_drops_what_nobody_read(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = [50.0]
    monkeypatch.setattr("time.monotonic", lambda: now_s[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now_s.append(now_s.pop() + seconds))
    grabber = SyntheticGrabber([picture(number) for number in range(20)], rate_hz=200)
    assert grabber.open() == 200
    read = []
    for late_s in (0, 0, 0, 0.1, 0):
        now_s[0] += late_s
        image = grabber.read()
        assert image is not None
        read.append((number_of(image), round(now_s[0] - 50, 4)))
    assert read == [(1, 0.005), (2, 0.01), (3, 0.015), (3, 0.115), (4, 0.12)]
    grabber.close()
