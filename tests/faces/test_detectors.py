from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mien.artifact import store
from mien.errors import ArtifactError, ConfigError
from mien.faces.detection import (
    Detector,
    choose_larger_look,
    clip_boxes,
    crop_square,
    overlaps,
    shrink,
    shrink_in_turn,
    suppress,
)
from mien.faces.detectors import DETECTORS, create_detector
from mien.faces.haar import Haar
from mien.faces.mien_detector import BUNDLED, MienDetector
from mien.faces.yunet import YuNet
from mien.images import pictures as images
from mien.structures import Detections

Find = Callable[[str], Detector]


@pytest.fixture
def create(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Find:
    """Creates a detector by name; one that needs YuNet's file finds it in the shared folder."""

    def created(name: str) -> Detector:
        if name == "yunet":
            monkeypatch.setenv("MIEN_HOME", str(request.getfixturevalue("shared") / "weights"))
        return create_detector(name)

    return created


def check(found: Detections, shape: tuple[int, ...]) -> None:
    n = len(found)
    assert (found.boxes.shape, found.scores.shape, found.landmarks.shape) == ((n, 4), (n,), (n, 5, 2))
    assert {found.boxes.dtype, found.scores.dtype, found.landmarks.dtype} == {np.dtype(np.float32)}
    assert np.all((found.scores >= 0) & (found.scores <= 1))
    assert np.all(np.diff(found.scores) <= 0)
    assert np.isfinite(found.boxes).all()
    assert np.all(found.boxes[:, 2:] > found.boxes[:, :2])
    centres = (found.boxes[:, :2] + found.boxes[:, 2:]) / 2
    assert np.all((centres >= 0) & (centres < (shape[1], shape[0])))


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize("shape", [(0, 0, 3), (1, 1, 3), (3, 5000, 3), (5000, 3, 3), (33, 47, 3), (300, 400, 3)])
def test_any_size_of_picture_is_taken(create: Find, name: str, shape: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    found = create(name).detect(noise)
    check(found, shape)
    if 0 in shape:
        assert len(found) == 0


@pytest.mark.parametrize("name", DETECTORS)
def test_a_picture_is_not_changed_and_detection_repeats(create: Find, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8)
    before = noise.copy()
    detector = create(name)
    first = detector.detect(noise)
    detector.detect(np.zeros((40, 30, 3), np.uint8))
    np.testing.assert_array_equal(detector.detect(noise).boxes, first.boxes)
    np.testing.assert_array_equal(noise, before)


@pytest.mark.parametrize("shape", [(1, 640, 3), (30, 30, 3), (32, 32, 3)])
def test_yunet_repeats_itself_on_slips_of_pictures(create: Find, shape: tuple[int, int, int]) -> None:
    slip, other = (np.random.default_rng(0).integers(0, 256, size, np.uint8) for size in (shape, (320, 320, 3)))
    path = store.find(store.YUNET) if create("yunet") else None
    assert path is not None
    detector = YuNet(path, min_score=0.0)
    first = detector.detect(slip)
    for _ in range(5):
        detector.detect(other)
        np.testing.assert_array_equal(detector.detect(slip).boxes, first.boxes)


def test_auto_is_our_own_whatever_was_fetched(create: Find) -> None:
    assert create_detector().name == "mien"
    assert create("yunet").name == "yunet"
    assert create_detector("auto").name == "mien"


def test_yunet_without_its_file_says_how_to_get_it() -> None:
    with pytest.raises(ConfigError, match="mien model pull yunet"):
        create_detector("yunet")


def test_yunet_with_a_damaged_file_is_told() -> None:
    (store.home() / store.YUNET.filename).write_bytes(b"not a network")
    with pytest.raises(ArtifactError, match="sha256"):
        create_detector("yunet")


def test_another_file_is_no_yunet(tmp_path: Path) -> None:
    path = tmp_path / "some.onnx"
    path.write_bytes(b"not a network")
    with pytest.raises(ArtifactError, match=r"some\.onnx"):
        YuNet(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="auto, mien, yunet, haar, none"):
        create_detector("mtcnn")


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_out_of_range_is_refused(score: float) -> None:
    with pytest.raises(ConfigError, match="0–1"):
        create_detector("haar", min_score=score)


@pytest.mark.parametrize("height", [0, -3, float("nan")])
def test_a_height_that_is_none_is_refused(height: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        create_detector("mien", min_face_px=height)


@pytest.mark.parametrize(
    ("longest", "smallest", "expected"),
    [
        (1920, 48, None),
        (1920, 24, 960),
        (4000, 48, 1000),
        (3000, 48, None),
        (500, 6, None),
        (60_000, 48, 4096),
        (700, 1, None),
    ],
)
def test_large_pictures_get_a_second_look(longest: int, smallest: float, expected: int | None) -> None:
    assert choose_larger_look(longest, 640, 12 / smallest) == expected


def test_of_detections_that_overlap_the_better_one_stays() -> None:
    boxes = np.float32([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 0, 4, 4]])
    found = suppress(Detections.from_boxes(boxes, [0.5, 0.9, 0.3, 0.4]), 0.35)
    np.testing.assert_allclose(found.scores, [0.9, 0.4, 0.3])


@pytest.mark.parametrize("count", [0, 1, 300])
def test_each_detection_is_kept_unless_a_better_one_that_is_kept_overlaps_it(count: int) -> None:
    random = np.random.default_rng(count)
    corners = random.uniform(-20, 300, (count, 2))
    boxes = np.hstack([corners, corners + random.uniform(10, 90, (count, 2))]).astype(np.float32)
    # Many are equal, and many of them zero, as Haar's are.
    scores = np.round(random.uniform(0, 1, count), 1)
    order = np.argsort(-scores, kind="stable")
    near, kept = overlaps(boxes, boxes) > 0.35, list[int]()
    for row in order:
        if not near[row, kept].any():
            kept.append(row)
    found = suppress(Detections.from_boxes(boxes, scores), 0.35)
    assert found.boxes.tolist() == boxes[kept].tolist()


def test_the_detector_with_other_weights_than_its_manifest_says_is_refused(tmp_path: Path) -> None:
    for graph in ("detector.onnx", "verifier.onnx"):
        shutil.copytree(BUNDLED, tmp_path / "weights", dirs_exist_ok=True)
        (tmp_path / "weights" / graph).write_bytes(b"not a network")
        with pytest.raises(ArtifactError, match=f"{graph} is damaged: sha256"):
            MienDetector(tmp_path / "weights")
    (tmp_path / "weights" / "manifest.json").write_text("{}")
    with pytest.raises(ArtifactError, match="manifest"):
        MienDetector(tmp_path / "weights")
    with pytest.raises(ArtifactError, match="manifest"):
        MienDetector(tmp_path / "nowhere")


def test_the_detector_can_be_pickled() -> None:
    detector = MienDetector(min_score=0.3, min_face_px=20)
    again = pickle.loads(pickle.dumps(detector))
    assert (again.min_score, again.min_face_px) == (0.3, 20)
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    np.testing.assert_array_equal(again.detect(noise).boxes, detector.detect(noise).boxes)


def test_none_takes_the_whole_picture() -> None:
    detector = create_detector("none")
    assert detector.crops_given
    assert detector.detect(np.zeros((40, 30, 3), np.uint8)).boxes.tolist() == [[0, 0, 30, 40]]


def test_shrink_never_enlarges_and_leads_back() -> None:
    picture = np.zeros((100, 333, 3), np.uint8)
    same, back = shrink(picture, 640)
    assert same.shape == picture.shape
    assert back.tolist() == [1, 1]
    small, back = shrink(picture, 100)
    assert max(small.shape) == 100
    np.testing.assert_allclose(back * (small.shape[1], small.shape[0]), (333, 100), rtol=1e-6)


def test_shrinking_in_turn_has_the_sizes_of_shrinking_and_nearly_its_values() -> None:
    rows, columns = np.mgrid[:453, :1207]
    picture = (127 + 60 * np.sin(rows / 17) + 60 * np.cos(columns / 31)).astype(np.uint8)
    sides = [640, 900, 192, 5000]
    for side, (small, back) in zip(sides, shrink_in_turn(picture, sides), strict=True):
        expected, factors = shrink(picture, side)
        assert small.shape == expected.shape
        assert np.array_equal(back, factors)
        assert np.abs(small.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 3)])
@pytest.mark.parametrize(
    "box", [[5, 6, 25, 30], [-20, -9, 15, 30], [50, 20, 90, 70], [-90, 3, -60, 40], [70, 60, 95, 99]]
)
def test_beyond_a_picture_its_edge_is_repeated(shape: tuple[int, ...], box: list[float]) -> None:
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    square = crop_square(picture, np.float32(box), scale=1.0)
    side = box[3] - box[1]
    top, left = (round((box[start] + box[start + 2] - side) / 2) for start in (1, 0))
    rows, columns = np.clip(np.arange(top, top + side), 0, 39), np.clip(np.arange(left, left + side), 0, 59)
    assert square.tolist() == picture[rows[:, None], columns].tolist()


def test_boxes_are_clipped_to_the_picture() -> None:
    boxes = np.float32([[-5, -6, 20, 30], [1, 2, 3, 4]])
    assert clip_boxes(boxes, 25, 15).tolist() == [[0, 0, 15, 25], [1, 2, 3, 4]]


def centre_in(box: Any, face: list[int]) -> bool:
    x, y, width, height = face
    centre_x, centre_y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return bool(x <= centre_x <= x + width and y <= centre_y <= y + height)


def count(detector: Detector, shared: Path) -> tuple[list[str], list[str]]:
    """Faces of the photos that were missed, and hits that are none."""
    photos = shared / "data" / "photos"
    missed, false = [], []
    for name, truth in json.loads((photos / "truth.json").read_text())["images"].items():
        if "error" in truth:
            continue
        boxes = list(detector.detect(images.read(photos / name)).boxes)
        for number, face in enumerate(truth["faces"]):
            hit = next((k for k, box in enumerate(boxes) if centre_in(box, face["box"])), None)
            if hit is None:
                missed.append(f"{name}:{number}")
            else:
                boxes.pop(hit)
        false += [f"{name}:{box.round().tolist()}" for box in boxes]
    return missed, false


@pytest.mark.data
def test_yunet_finds_every_face_of_the_photos_and_nothing_else(create: Find, shared: Path) -> None:
    assert count(create("yunet"), shared) == ([], [])


@pytest.mark.data
def test_our_own_detector_takes_nothing_else_for_a_face(shared: Path) -> None:
    missed, false = count(MienDetector(), shared)
    assert len(missed) <= 3
    assert false == []


@pytest.mark.data
def test_haar_finds_most_faces_of_the_photos_and_hardly_anything_else(shared: Path) -> None:
    missed, false = count(Haar(), shared)
    assert len(missed) <= 3
    assert len(false) <= 2


@pytest.mark.data
@pytest.mark.parametrize(("name", "faces"), [("classroom.gif", 4), ("head_pose_face_detection_female_and_male.gif", 2)])
def test_yunet_finds_the_faces_of_a_gifs_first_frame(create: Find, shared: Path, name: str, faces: int) -> None:
    assert len(create("yunet").detect(images.read(shared / "data" / "photos" / name))) == faces


@pytest.mark.data
def test_both_detectors_frame_a_face_alike(create: Find, shared: Path) -> None:
    picture = images.read(shared / "data" / "photos" / "astronaut.png")
    yunet, haar = create("yunet").detect(picture), create("haar").detect(picture)
    heights = [found.boxes[0, 3] - found.boxes[0, 1] for found in (yunet, haar)]
    assert heights[1] == pytest.approx(heights[0], rel=0.15)
    np.testing.assert_allclose(yunet.boxes[0], haar.boxes[0], atol=0.15 * heights[0])


@pytest.mark.data
def test_landmarks_lie_where_they_are_named(create: Find, shared: Path) -> None:
    found = create("yunet").detect(images.read(shared / "data" / "photos" / "astronaut.png"))
    right_eye, left_eye, nose, right_mouth, left_mouth = found.landmarks[0]
    assert right_eye[0] < nose[0] < left_eye[0]
    assert right_mouth[0] < left_mouth[0]
    assert right_eye[1] < nose[1] < right_mouth[1]


@pytest.mark.data
def test_boxes_follow_the_size_of_the_picture(create: Find, shared: Path) -> None:
    picture = images.read(shared / "data" / "photos" / "astronaut.png")
    detector = create("yunet")
    double = detector.detect(images.resize(picture, 1024, 1024))
    np.testing.assert_allclose(double.boxes / 2, detector.detect(picture).boxes, atol=4)


def test_haar_in_a_folder_beyond_ascii(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    from mien.faces.haar import CASCADE, Haar

    folder = tmp_path / "Größe"
    folder.mkdir()
    shutil.copy(Path(cv2.data.haarcascades) / CASCADE, folder)  # type: ignore[attr-defined]
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    expected = Haar(min_score=0).detect(image)
    monkeypatch.setattr(cv2.data, "haarcascades", str(folder))  # type: ignore[attr-defined]
    found = Haar(min_score=0).detect(image)
    assert np.array_equal(found.boxes, expected.boxes)
