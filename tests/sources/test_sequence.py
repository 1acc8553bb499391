from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_clips import number_of, picture

from mien.errors import ConfigError, ImageTooLargeError, SourceError
from mien.images.pictures import write
from mien.sources.photos import FrameSequence, ImageSequence
from mien.sources.stream import Sampling
from mien.structures import Frame

NUMBERS = [1, 2, 3, 9, 10, 11, 20]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in NUMBERS:
        write(tmp_path / f"shot_{number}.png", picture(number))
    write(tmp_path / ".shot_0.png", picture(0))
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


@pytest.mark.parametrize("pattern", ["", "shot_*.png", "shot_%d.png", "**/*.png"])
def test_pictures_come_in_natural_order_with_a_rate(folder: Path, pattern: str) -> None:
    with ImageSequence(str(folder / pattern), rate_hz=10) as sequence:
        frames = list(sequence)
        info = sequence.info
    assert [number_of(frame.image) for frame in frames] == NUMBERS
    assert [frame.time_s for frame in frames] == pytest.approx([index / 10 for index in range(7)])
    assert [frame.index for frame in frames] == list(range(7))
    assert (info.frames, info.duration_s, info.rate_hz, info.width, info.height) == (7, 0.7, 10, 64, 48)


def test_a_pattern_with_leading_zeros(tmp_path: Path) -> None:
    for name in ("a_0001.png", "a_0002.png", "a_12345.png", "a_3.png", "a_b.png"):
        write(tmp_path / name, picture(1))
    assert ImageSequence(str(tmp_path / "a_%04d.png")).info.frames == 3


def test_sampling_opens_only_what_is_taken(folder: Path) -> None:
    (folder / "shot_2.png").write_bytes(b"broken")
    sampled = ImageSequence(str(folder), Sampling(every=2, end_s=0.5), rate_hz=10)
    assert [(frame.index, number_of(frame.image)) for frame in sampled] == [(0, 1), (2, 3), (4, 10)]


def test_a_bad_picture_is_named_after_those_before_it(folder: Path) -> None:
    (folder / "shot_9.png").write_bytes(b"broken")
    frames = iter(ImageSequence(str(folder)))
    assert [next(frames).index for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SourceError, match=r"shot_9.png: starts with"):
        next(frames)


def test_pictures_of_another_size_are_refused(folder: Path) -> None:
    write(folder / "shot_9.png", picture(9, 20, 30))
    with pytest.raises(SourceError, match=r"shot_9.png: 30 × 20 pixels, the sequence began with 64 × 48"):
        list(ImageSequence(str(folder)))


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a folder without images"):
        ImageSequence(str(tmp_path))
    with pytest.raises(SourceError, match="no image matches"):
        ImageSequence(str(tmp_path / "*.png"))
    with pytest.raises(ConfigError, match="a rate above 0"):
        ImageSequence(str(tmp_path), rate_hz=0)


def test_arrays_are_numbered_and_frames_keep_what_they_have() -> None:
    arrays = FrameSequence([picture(1), picture(2)[:, :, 0]], rate_hz=4)
    assert [(frame.index, frame.time_s, frame.image.shape) for frame in arrays] == [
        (0, 0.0, (48, 64, 3)), (1, 0.25, (48, 64, 3)),
    ]  # fmt: skip
    frames = [Frame(picture(1), "mine", 7, 1.5), Frame(picture(2), "mine", 9, 2.5)]
    assert list(FrameSequence(frames)) == frames
    assert list(FrameSequence(frames, Sampling(start_s=2))) == frames[1:]
    assert FrameSequence(frames).info.name == "mine"


def test_frames_are_made_one_by_one() -> None:
    made: list[int] = []

    def make() -> Any:
        for number in range(10):
            made.append(number)
            yield picture(number)

    frames = iter(FrameSequence(make()))
    next(frames)
    assert made == [0]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "got none"),
        (["a.png"], "not str"),
        ([np.zeros((4, 4, 3), np.float32)], "not float32"),
        ([np.zeros((4, 4, 5), np.uint8)], r"not \(4, 4, 5\)"),
    ],
)
def test_what_is_no_picture(items: Any, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        FrameSequence(items)


def test_the_limit_holds_here_too(folder: Path) -> None:
    with pytest.raises(ImageTooLargeError):
        ImageSequence(str(folder), max_pixels=100)
    with pytest.raises(ImageTooLargeError):
        FrameSequence([picture(1)], max_pixels=100)
