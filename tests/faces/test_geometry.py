from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mien.errors import ArtifactError
from mien.faces.geometry import (
    GRAPHS,
    INPUT_PX,
    MIRROR,
    MIRROR_BLENDSHAPES,
    POINTS,
    WEIGHTS,
    Geometry,
    GeometryReader,
    about_camera,
    bundled_reader,
    cut_face,
    frame_face,
    frame_of,
    from_angles,
    place,
    to_angles,
    to_rotations,
)
from mien.labels import BLENDSHAPES
from mien.structures import Detections


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """Eileen Collins, 512×512, who looks at the camera and smiles."""
    data = pytest.importorskip("skimage.data")
    return np.asarray(data.astronaut())


BOX = (178.0, 56.0, 274.0, 175.0)
FIVE = ((204.6, 102.2), (246.1, 104.2), (223.7, 126.4), (202.8, 139.6), (244.5, 140.8))


def found(box: tuple[float, ...] = BOX, five: object = FIVE) -> Detections:
    points = np.full((1, 5, 2), np.nan) if five is None else np.array([five])
    return Detections(np.float32([box]), np.float32([1]), points.astype(np.float32))


def distance_of_eyes(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[45] - points[36]))


def off(points: np.ndarray, others: np.ndarray) -> float:
    """Mean distance of iBUG's points in distances of the eyes."""
    return float(np.linalg.norm(points[:68] - others[:68], axis=1).mean() / distance_of_eyes(others))


def test_points_of_a_portrait_lie_where_the_face_is(portrait: np.ndarray) -> None:
    geometry = bundled_reader().read(portrait, found())
    (points,) = geometry.points
    assert points.shape == (POINTS, 2)
    assert np.all((points[:68] > (165, 75)) & (points[:68] < (290, 190)))
    right_eye, left_eye = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    np.testing.assert_allclose(right_eye, FIVE[0], atol=6)
    np.testing.assert_allclose(left_eye, FIVE[1], atol=6)
    np.testing.assert_allclose(points[68], right_eye, atol=4)
    np.testing.assert_allclose(points[69], left_eye, atol=4)
    assert points[8, 1] > points[57, 1] > points[33, 1] > points[27, 1], "chin, lower lip, nose, its root: upwards"
    assert np.median(geometry.visible) > 0.8


def test_a_smile_shows_in_the_blendshapes(portrait: np.ndarray) -> None:
    (weights,) = bundled_reader().read(portrait, found()).blendshapes
    named = dict(zip(BLENDSHAPES, weights, strict=True))
    assert min(named["mouthSmileLeft"], named["mouthSmileRight"]) > 0.3 > named["mouthFrownLeft"]


def test_the_mirror_image_has_the_mirrored_geometry(portrait: np.ndarray) -> None:
    width = portrait.shape[1]
    five = [FIVE[place] for place in (1, 0, 2, 4, 3)]
    other = found((width - BOX[2], BOX[1], width - BOX[0], BOX[3]), [(width - 1 - x, y) for x, y in five])
    straight = bundled_reader().read(portrait, found())
    mirrored = bundled_reader().read(np.ascontiguousarray(portrait[:, ::-1]), other)
    back = mirrored.points[0][list(MIRROR)] * (-1, 1) + (width - 1, 0)
    assert off(back, straight.points[0]) < 0.06
    np.testing.assert_allclose(mirrored.poses[0] * (-1, 1, -1), straight.poses[0], atol=8)


@pytest.mark.parametrize("quarter", [1, 2, 3])
def test_a_turned_picture_has_the_same_face_turned(portrait: np.ndarray, quarter: int) -> None:
    """Landmarks tell which way is up, so that the network sees each face upright."""
    height = portrait.shape[0]

    def turned(x: float, y: float) -> tuple[float, float]:
        for _ in range(quarter):
            x, y = y, height - 1 - x
        return x, y

    corners = np.array([turned(*BOX[:2]), turned(*BOX[2:])])
    box = (*corners.min(axis=0), *corners.max(axis=0))
    picture = np.ascontiguousarray(np.rot90(portrait, quarter))
    straight = bundled_reader().read(portrait, found())
    lying = bundled_reader().read(picture, found(tuple(map(float, box)), [turned(*point) for point in FIVE]))
    expected = np.array([turned(*point) for point in straight.points[0].tolist()])
    assert off(lying.points[0], expected) < 0.03
    roll = (lying.poses[0, 2] - straight.poses[0, 2] - 90 * quarter + 180) % 360 - 180
    assert abs(roll) < 15


def test_without_landmarks_the_box_is_enough(portrait: np.ndarray) -> None:
    with_them = bundled_reader().read(portrait, found())
    without = bundled_reader().read(portrait, found(five=None))
    assert off(without.points[0], with_them.points[0]) < 0.08


def test_no_face_no_geometry(portrait: np.ndarray) -> None:
    geometry = bundled_reader().read(portrait, Detections.empty())
    assert len(geometry) == 0
    assert geometry.poses.shape == (0, 3)


def test_rows_can_be_picked() -> None:
    rng = np.random.default_rng(0)
    shapes = ((3, POINTS, 2), (3, POINTS), (3, 3, 3), (3, 52))
    geometry = Geometry(*(rng.random(shape).astype(np.float32) for shape in shapes))
    np.testing.assert_array_equal(geometry[[2, 0]].visible, geometry.visible[[2, 0]])
    with pytest.raises(ValueError, match="70, 2"):
        Geometry(geometry.points[:, :68], geometry.visible, geometry.rotations, geometry.blendshapes)


@pytest.mark.parametrize("height", [20.0, 64.0, 300.0, 900.0])
@pytest.mark.parametrize("turn", [0.0, 0.6, -2.5])
def test_a_frame_shows_a_spot_where_it_says(height: float, turn: float) -> None:
    picture = np.zeros((1000, 1200), np.uint8)
    spot = np.array([640.0, 480.0])
    cv2.circle(picture, (640, 480), max(2, int(height / 20)), 255, -1)
    frame = frame_of(np.array([620.0, 500.0]), height, turn)
    shown = cut_face(picture, frame).astype(np.float64)
    rows, columns = np.mgrid[:INPUT_PX, :INPUT_PX]
    expected = frame[:, :2] @ spot + frame[:, 2]
    if not np.all((expected > 4) & (expected < INPUT_PX - 5)):
        pytest.skip("outside the frame")
    seen = np.array([(columns * shown).sum(), (rows * shown).sum()]) / shown.sum()
    np.testing.assert_allclose(seen, expected, atol=0.35)


def test_a_frame_beyond_the_picture_repeats_its_edge() -> None:
    picture = np.full((30, 30, 3), 77, np.uint8)
    assert np.all(cut_face(picture, frame_of(np.array([500.0, -80.0]), 40.0, 0.3)) == 77)


def test_outputs_are_placed_in_the_picture() -> None:
    detections = found(five=[(200.0, 100.0), (240.0, 140.0), *FIVE[2:]])
    frame, turn = frame_face(detections, 0)
    assert np.degrees(turn) == pytest.approx(45)
    point = np.array([221.0, 131.0])
    inside = frame[:, :2] @ point + frame[:, 2]
    outputs = {
        "points": np.tile((inside + 0.5) * 2 / INPUT_PX - 1, (1, POINTS, 1)).astype(np.float32),
        "visible": np.ones((1, POINTS), np.float32),
        "rotation": np.float32([[1, 0, 0, 0, 1, 0]]),
    }
    geometry = place(outputs, [(frame, turn)])
    np.testing.assert_allclose(geometry.points[0, 5], point, atol=1e-3)
    # The face was level after the picture had been turned anti-clockwise: in the picture it leans clockwise.
    np.testing.assert_allclose(to_angles(geometry.rotations[0]), [0, 0, -45], atol=1e-3)


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, -20, 0), (0, 0, 100), (25, -15, 40), (-60, 35, -170)])
def test_angles_and_rotations_are_inverse(angles: tuple[float, float, float]) -> None:
    rotation = from_angles(angles)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(rotation) == pytest.approx(1)
    np.testing.assert_allclose(to_angles(rotation), angles, atol=1e-3)


def test_signs_of_the_angles() -> None:
    """The third column is where the nose points: x to the picture's right, y up, z towards the camera."""
    assert from_angles((30, 0, 0))[0, 2] > 0.4, "yaw turns the nose to the picture's right"
    assert from_angles((0, 30, 0))[1, 2] < -0.4, "pitch turns it down"
    assert from_angles((0, 0, 30))[0, 1] < -0.4, "roll turns the crown to the picture's left"
    np.testing.assert_allclose(about_camera(0.5), from_angles((0, 0, np.degrees(0.5))), atol=1e-6)


def test_columns_become_rotations() -> None:
    columns = np.random.default_rng(1).normal(size=(5, 6)).astype(np.float32)
    for rotation in to_rotations(columns):
        np.testing.assert_allclose(rotation.T @ rotation, np.eye(3), atol=1e-5)
        assert np.linalg.det(rotation) == pytest.approx(1, abs=1e-4)


def test_mirror_images_of_mirror_images_are_the_same() -> None:
    for table in (MIRROR, MIRROR_BLENDSHAPES):
        assert [table[table[place]] for place in range(len(table))] == list(range(len(table)))
    assert MIRROR[36] == 45
    assert BLENDSHAPES[MIRROR_BLENDSHAPES[BLENDSHAPES.index("jawLeft")]] == "jawRight"


def test_a_damaged_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no geometry networks"):
        GeometryReader(tmp_path)
    for file in WEIGHTS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert GeometryReader(tmp_path).name == bundled_reader().name
    (tmp_path / "closeups.onnx").write_bytes(b"something else")
    with pytest.raises(ArtifactError, match=r"closeups.onnx is not the graph of its card"):
        GeometryReader(tmp_path)
    (tmp_path / "geometry.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ArtifactError, match="expected name, version"):
        GeometryReader(tmp_path)


def test_the_card_names_its_teacher_and_the_graphs_are_small() -> None:
    reader = bundled_reader()
    assert "MediaPipe" in reader.card["teacher"]
    assert "Apache-2.0" in reader.card["teacher"]
    assert sum((WEIGHTS / name).stat().st_size for name in GRAPHS) <= 1_500_000
