from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_clips import gif, open_files, picture, write_clip

from mien.errors import ConfigError, SourceError
from mien.images.pictures import write
from mien.sources.camera import create_synthetic
from mien.sources.container import kind_of
from mien.sources.opening import is_moving, open_source
from mien.sources.photos import FrameSequence, ImageSequence
from mien.sources.stream import Sampling
from mien.sources.video import VideoFile

THREE = [picture(number) for number in range(3)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_clip(tmp_path / "clip.mp4", THREE)
    (tmp_path / "unnamed").write_bytes((tmp_path / "clip.mp4").read_bytes())
    (tmp_path / "clip.dat").write_bytes((tmp_path / "clip.mp4").read_bytes())
    (tmp_path / "moving.gif").write_bytes(gif([[0, 1], [1, 0]], width=2))
    (tmp_path / "still.gif").write_bytes(gif([[0, 1]], width=2))
    (tmp_path / "notes.txt").write_text("no picture\n" * 100)
    (tmp_path / "empty").touch()
    write(tmp_path / "picture.png", picture(1))
    (tmp_path / "picture").write_bytes((tmp_path / "picture.png").read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("name", "moves"),
    [
        ("clip.mp4", True), ("unnamed", True), ("clip.dat", True), ("missing.MKV", True), ("moving.gif", True),
        ("still.gif", False), ("picture.png", False), ("picture", False), ("notes.txt", False), ("empty", False),
        ("missing", False), ("missing.gif", False), ("", False), ("*.png", False),
    ],
)  # fmt: skip
def test_files_that_move(folder: Path, name: str, moves: bool) -> None:
    assert is_moving(str(folder / name)) is moves
    assert (kind_of(folder / name) == "video") is moves
    assert not open_files(folder)


@pytest.mark.parametrize(
    "name", ["0", "camera:12", "/dev/video0", "rtsp://cam/a", "rtmp://cam/a", "http://cam/a.mp4", "https://cam/x"]
)
def test_cameras_and_addresses_move(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert is_moving(name)


def test_a_number_that_is_a_file_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", THREE).rename(tmp_path / "0")
    assert is_moving("0")
    with open_source("0") as source:
        assert isinstance(source, VideoFile)


@pytest.mark.parametrize(
    ("name", "kind", "frames"),
    [("clip.mp4", VideoFile, 3), ("unnamed", VideoFile, 3), ("moving.gif", VideoFile, 2),
     ("pictures", ImageSequence, 2), ("pictures/*.png", ImageSequence, 2), ("pictures/%d.png", ImageSequence, 2)],
)  # fmt: skip
def test_a_source_by_its_name(folder: Path, name: str, kind: type, frames: int) -> None:
    (folder / "pictures").mkdir()
    for number in range(2):
        write(folder / "pictures" / f"{number}.png", picture(number))
    with open_source(folder / name) as source:
        assert isinstance(source, kind)
        assert len(list(source)) == frames


def test_frames_arrays_and_sources_from_python(folder: Path) -> None:
    assert isinstance(open_source(iter(THREE)), FrameSequence)
    assert len(list(open_source(np.stack(THREE)))) == 3
    with create_synthetic(THREE) as camera:
        assert open_source(camera) is camera
        assert open_source(camera, Sampling()) is camera
    video = VideoFile(folder / "clip.mp4")
    with open_source(video, Sampling(every=2)) as sampled:
        assert sampled.info == video.info
        assert [frame.index for frame in sampled] == [0, 2]
    assert not open_files(folder)


@pytest.mark.parametrize(
    "source", [None, 3.5, True, -1, b"bytes", "", "a\0b.mp4", "ftp://x/y.mp4", "http://x/y.jpg", picture(1)]
)
def test_other_things_are_refused_with_what_is_understood(source: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected a video file, an animated GIF, a camera|image to a file first"):
        open_source(source)


def test_pictures_and_missing_things(folder: Path) -> None:
    with pytest.raises(SourceError, match="this is a PNG image"):
        open_source(folder / "picture.png")
    with pytest.raises(SourceError, match="no such file"):
        open_source(folder / "missing")
    with pytest.raises(SourceError, match="no such camera"):
        open_source("camera:97")


def test_telling_what_moves_loads_no_video_library_for_pictures(folder: Path) -> None:
    code = (
        "import sys; from mien.sources.opening import is_moving\n"
        f"assert not is_moving({str(folder / 'picture.png')!r}) and is_moving('a.mp4') and is_moving('0')\n"
        "assert 'av' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
