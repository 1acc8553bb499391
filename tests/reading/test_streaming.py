from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import pytest

from mien.errors import ConfigError, SourceError
from mien.faces.yunet import YuNet
from mien.images.pictures import read, resize
from mien.reading.classifier import Model, load_model
from mien.reading.following import NEAR_PX
from mien.reading.pipeline import Pipeline
from mien.reading.stages import Ahead, Profile
from mien.reading.streaming import StreamOptions
from mien.sources.opening import open_source
from mien.sources.stream import StreamInfo
from mien.structures import Detections, Frame

PICTURE = np.random.default_rng(5).integers(0, 256, (240, 320, 3), np.uint8)
RATE_HZ = 25


class Film:
    """A source of frames; frame n shows a face of 100 px while `present(n)`."""

    def __init__(self, frames: int, *, live: bool = False, breaks_at: int | None = None) -> None:
        self.info = StreamInfo("film", 320, 240, rate_hz=RATE_HZ, frames=frames, live=live)
        self.breaks_at = breaks_at
        self.given = 0
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self.info.frames or 0):
            if number == self.breaks_at:
                raise SourceError("film: breaks off")
            self.given += 1
            yield Frame(PICTURE, "film", number, number / RATE_HZ)

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Watcher:
    """A detector that finds a face while `present(look)` and notes how large the pictures were that it looked at.

    `squares` counts the looks at the face alone.
    """

    name = "watcher"
    crops_given = False
    longest_px = 640

    def __init__(self, present: Callable[[int], bool] = lambda look: True, *, cost_s: float = 0.0) -> None:
        self.present = present
        self.cost_s = cost_s
        self.looks: list[int | None] = []
        self.squares = 0

    def detect(self, image: npt.NDArray[np.uint8], *, longest_px: int | None = None) -> Detections:
        time.sleep(self.cost_s)
        shown = self.present(len(self.looks) + self.squares)
        if image.shape == (NEAR_PX, NEAR_PX, 3):
            self.squares += 1
            # The face of the film, in the middle of a square twice as high.
            box = NEAR_PX / 2 + NEAR_PX * np.array([-0.2, -0.25, 0.2, 0.25])
            return Detections.from_boxes([box] if shown else [], [0.9] * shown)
        self.looks.append(longest_px)
        return Detections.from_boxes([[100, 60, 180, 160]] if shown else [], [0.9] * shown)


@pytest.fixture(scope="module")
def model(toy_artifact: Path) -> Model:
    return load_model(toy_artifact)


def test_every_frame_has_a_result_and_the_face_one_number(model: Model) -> None:
    film = Film(30)
    results = list(Pipeline(model, detector=Watcher()).stream(film))
    assert [result.frame.index for result in results if result.frame] == list(range(30))
    assert {face.track_id for result in results for face in result.faces} == {1}
    assert results[0].entered == (1,)
    assert film.closed


def test_smoothed_and_raw_values_stand_side_by_side(model: Model) -> None:
    for result in Pipeline(model, detector=Watcher()).stream(Film(10)):
        (face,) = result.faces
        assert face.raw is not None
        assert sum(face.probabilities.values()) == pytest.approx(1)
        assert face.model == "toy 1.0"
        assert set(face.to_dict()) >= {"track_id", "raw"}


def test_a_face_that_goes_leaves_rows_without_a_face_and_an_end(model: Model) -> None:
    results = list(Pipeline(model, detector=Watcher(lambda look: look < 20)).stream(Film(60)))
    assert len(results) == 60
    gone = [index for index, result in enumerate(results) if not result.faces]
    assert gone[0] <= 20
    ends = [(index, result.left) for index, result in enumerate(results) if result.left]
    assert len(ends) == 1
    assert ends[0][1] == (1,)
    assert ends[0][0] - gone[0] <= RATE_HZ + 1


def test_without_tracking_frames_are_read_like_photos(model: Model) -> None:
    pipeline = Pipeline(model, detector=Watcher())
    results = list(pipeline.stream(Film(5), StreamOptions(track=False)))
    expected = pipeline.analyze(PICTURE)
    for result in results:
        assert [face.track_id for face in result.faces] == [None]
        assert result.faces[0].probabilities == pytest.approx(expected[0].probabilities, abs=1e-5)


def test_between_two_looks_the_face_is_followed(model: Model) -> None:
    watcher = Watcher()
    results = list(Pipeline(model, detector=watcher).stream(Film(30), StreamOptions(detect_every=5)))
    assert len(watcher.looks) + watcher.squares == 6
    assert {face.track_id for result in results for face in result.faces} == {1}
    assert all(len(result.faces) == 1 for result in results)


def test_a_large_face_is_looked_for_in_a_smaller_picture_but_the_whole_is_not_forgotten(model: Model) -> None:
    watcher = Watcher()
    list(Pipeline(model, detector=watcher).stream(Film(60), StreamOptions(search_every=0)))
    assert watcher.squares == 0
    reduced = [look for look in watcher.looks if look is not None]
    assert 50 < len(reduced) < 60
    assert max(reduced) < 320


def test_a_known_face_is_looked_for_nearby_and_the_whole_frame_searched_as_often_as_asked(model: Model) -> None:
    for search_s, searches in ((0.25, range(8, 12)), (0.5, range(4, 7))):
        watcher = Watcher()
        results = list(Pipeline(model, detector=watcher).stream(Film(60), StreamOptions(search_every=search_s)))
        assert len(watcher.looks) in searches
        assert watcher.squares == 60 - len(watcher.looks)
        # A look at the square tells the same place as one at the frame.
        boxes = np.array([face.box for result in results for face in result.faces])
        assert boxes.shape == (60, 4)
        assert np.abs(boxes - boxes[0]).max() < 1


def test_a_face_that_is_not_where_it_should_be_is_searched_everywhere_at_once(model: Model) -> None:
    watcher = Watcher(lambda look: look != 5)
    results = list(Pipeline(model, detector=watcher).stream(Film(10)))
    # The sixth look finds nothing in the square; one at the whole frame follows for the same frame.
    assert all(len(result.faces) == 1 for result in results)
    assert len(watcher.looks) + watcher.squares == 11


def test_a_slow_detector_skips_frames_of_a_live_source_only(model: Model) -> None:
    for live, looks in ((True, range(1, 20)), (False, range(30, 31))):
        watcher = Watcher(cost_s=0.05)
        results = list(Pipeline(model, detector=watcher).stream(Film(30, live=live)))
        assert len(results) == 30
        assert len(watcher.looks) + watcher.squares in looks


def test_what_came_before_a_break_is_given_first(model: Model) -> None:
    film = Film(30, breaks_at=12)
    results = Pipeline(model, detector=Watcher()).stream(film)
    assert [result.faces[0].track_id for result in itertools.islice(results, 12)] == [1] * 12
    with pytest.raises(SourceError, match="breaks off"):
        next(results)
    assert film.closed


def test_who_stops_taking_stops_the_work(model: Model) -> None:
    before = threading.enumerate()
    film = Film(10_000)
    results = Pipeline(model, detector=Watcher()).stream(film)
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert film.closed
    assert film.given < 100
    assert set(threading.enumerate()) <= set(before)


def test_the_profile_knows_every_stage(model: Model) -> None:
    profile = Profile()
    list(Pipeline(model, detector=Watcher()).stream(Film(5), profile=profile))
    assert {"decode", "detect", "track", "crop", "classify", "smooth"} <= profile.seconds.keys()


@pytest.mark.parametrize(
    "options", [{"smooth_s": -1}, {"hold_s": float("inf")}, {"detect_every": 0}, {"search_every": -1}]
)
def test_times_and_counts_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        StreamOptions(**options)  # type: ignore[arg-type]


def test_ahead_keeps_order_bounds_and_errors() -> None:
    made = []

    def count() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number
        raise ValueError("over")

    with Ahead(count(), size=3) as ahead:
        assert ahead.take(1) == [0]
        time.sleep(0.2)
        assert len(made) <= 6
        assert list(itertools.islice(ahead, 49)) == list(range(1, 50))
        with pytest.raises(ValueError, match="over"):
            ahead.take(1)


@pytest.fixture
def yunet(shared: Path) -> YuNet:
    return YuNet(shared / "weights/face_detection_yunet_2023mar.onnx")


CLIPS = {
    "single_face.mp4": (72, 1), "classroom.gif": (45, 4), "yes.mkv": (65, 1), "no_face.mp4": (95, 0),
    "head_pose_face_detection_female_and_male.gif": (56, 2),
}  # fmt: skip


@pytest.mark.data
@pytest.mark.parametrize("name", CLIPS)
def test_real_clips_have_as_many_tracks_as_people(name: str, shared: Path, yunet: YuNet) -> None:
    frames, people = CLIPS[name]
    results = list(Pipeline(detector=yunet).stream(shared / "data/photos" / name))
    assert len(results) == frames
    tracks: dict[int | None, int] = {}
    for result in results:
        for face in result.faces:
            tracks[face.track_id] = tracks.get(face.track_id, 0) + 1
    assert tracks == dict.fromkeys(range(1, people + 1), frames)


@pytest.mark.data
def test_the_track_of_a_face_that_goes_ends_within_a_second(shared: Path, yunet: YuNet) -> None:
    results = list(Pipeline(detector=yunet).stream(shared / "data/photos/face_noface.mov"))
    assert [len(result.faces) for result in results] == [1] * 72 + [0] * 97
    times = [result.frame.time_s for result in results if result.frame]
    (end,) = [index for index, result in enumerate(results) if result.left]
    assert times[end] - times[72] <= 1.0


@pytest.mark.data
def test_another_face_shows_its_expression_within_half_a_second_of_the_cut(shared: Path, yunet: YuNet) -> None:
    photos = [read(shared / "data/photos" / name) for name in ("grace_hopper.bmp", "single_face.jpg")]
    neutral, happy = (resize(photo, 480, 480) for photo in photos)
    film = open_source([neutral] * 50 + [happy] * 25, rate_hz=RATE_HZ)
    shown = [result.faces[0].top for result in Pipeline(detector=yunet).stream(film)]
    assert set(shown[:50]) == {"neutral"}
    assert set(shown[50 + RATE_HZ // 2 :]) == {"happy"}


def test_what_is_shown_is_always_the_likeliest(model: Model) -> None:
    noise = iter(np.random.default_rng(0).integers(0, 256, (40, 240, 320, 3), np.uint8))
    frames = [Frame(next(noise), "film", number, number / RATE_HZ) for number in range(40)]
    pipeline = Pipeline(model, detector=Watcher())
    tops = set()
    for result in pipeline.stream(frames, StreamOptions(smooth_s=0, hold_s=0.3)):
        (face,) = result.faces
        assert face.probabilities[face.top] == max(face.probabilities.values())
        told = face.to_deepface()
        assert told["emotion"][told["dominant_emotion"]] == max(told["emotion"].values())
        tops.add((face.top, face.raw_top))
    # Labels were held: frames alone said otherwise.
    assert any(top != raw for top, raw in tops)
