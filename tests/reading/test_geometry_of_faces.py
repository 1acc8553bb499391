"""Landmarks, pose and blendshapes on their way to users: faces, tables, drawings, the command line."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import mien
from mien.apps.cli.analyze import app
from mien.errors import ConfigError
from mien.faces.geometry import from_angles
from mien.labels import BLENDSHAPES, SEVEN
from mien.reading.drawing import draw_faces
from mien.reading.results import GEOMETRY, Result, columns, rows
from mien.sinks import create_sink
from mien.sinks.formats import openface_angles
from mien.structures import Face, Frame, Pose

POSE = Pose(10, -5, 20)


@pytest.fixture(scope="module")
def portrait(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = pytest.importorskip("skimage.data")
    from mien.images.pictures import write

    return write(tmp_path_factory.mktemp("portrait") / "portrait.png", np.asarray(data.astronaut()))


def made_face(pose: Pose | None = POSE) -> Face:
    probabilities = {label: 0.9 if label == "happy" else 0.1 / 6 for label in SEVEN}
    points = tuple((40.0 + place % 10, 30.0 + place // 2) for place in range(68))
    more = {} if pose is None else {
        "landmarks68": points, "iris": ((44.0, 40.0), (56.0, 40.0)), "visible": (1.0,) * 51 + (0.0,) * 17,
        "pose": pose, "blendshapes": {name: place / 100 for place, name in enumerate(BLENDSHAPES)},
    }  # fmt: skip
    return Face((30.0, 20.0, 80.0, 90.0), 0.9, probabilities, **more)  # type: ignore[arg-type]


def result_of(*faces: Face) -> Result:
    return Result("a.png", Frame(np.zeros((120, 120, 3), np.uint8), "a.png"), list(faces))


def test_faces_tell_their_geometry_when_asked(portrait: Path) -> None:
    (face,) = mien.analyze(portrait, geometry=True)
    assert len(face.landmarks68) == len(face.visible) == 68
    assert len(face.iris) == 2
    assert face.blendshapes is not None
    assert tuple(face.blendshapes) == BLENDSHAPES
    assert face.pose is not None
    assert abs(face.pose.yaw) < 30
    x1, y1, x2, y2 = face.box
    nose = face.landmarks68[30]
    assert x1 < nose[0] < x2
    assert y1 < nose[1] < y2
    assert json.loads(json.dumps(face.to_dict()))["pose"].keys() == {"yaw", "pitch", "roll"}


def test_unasked_faces_tell_none(portrait: Path) -> None:
    (face,) = mien.analyze(portrait)
    assert face.pose is None
    assert face.landmarks68 == ()
    assert "pose" not in face.to_dict()


def test_columns_follow_behind_all_others() -> None:
    names = columns(SEVEN, moving=True, geometry=True)
    assert names[-len(GEOMETRY) :] == GEOMETRY
    assert len(set(names)) == len(names)
    found, without = rows(result_of(made_face(), made_face(None)), SEVEN, geometry=True)
    assert tuple(found) == tuple(without) == columns(SEVEN, geometry=True)
    assert (found["yaw"], found["pitch"], found["roll"]) == (10, -5, 20)
    assert (found["x_3"], found["y_3"]) == (43.0, 31.0)
    assert found["iris_left_x"] == 56.0
    assert found["visible"] == 0.75
    assert found["jawOpen"] == BLENDSHAPES.index("jawOpen") / 100
    assert without["yaw"] is None
    assert "yaw" not in rows(result_of(made_face()), SEVEN)[0]


@pytest.mark.parametrize("ending", [".csv", ".jsonl", ".parquet"])
def test_tables_hold_them(tmp_path: Path, ending: str) -> None:
    if ending == ".parquet":
        pytest.importorskip("pyarrow")
    from mien.sinks.resume import iter_rows

    path = tmp_path / f"faces{ending}"
    with create_sink(path, SEVEN, geometry=True) as sink:
        sink.write(result_of(made_face()))
        sink.write(result_of())
    if ending == ".parquet":
        from mien.sinks.tables import read_parquet

        found, empty = read_parquet(path)
    else:
        found, empty = iter_rows(path.rename(path.with_name(f"{path.name}.part")).with_name(path.name), None)
    assert found["yaw"] == pytest.approx(10)
    assert found["mouthSmileLeft"] == pytest.approx(BLENDSHAPES.index("mouthSmileLeft") / 100, abs=1e-6)
    assert empty["y_67"] is None


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, skipinitialspace=True))


def test_openface_columns_hold_radians_and_points(tmp_path: Path) -> None:
    with create_sink(tmp_path / "a.openface.csv", SEVEN, geometry=True) as sink:
        sink.write(result_of(made_face(Pose(30, 0, 0))))
        sink.write(result_of())
    found, empty = read_csv(tmp_path / "a.openface.csv")
    assert float(found["pose_Ry"]) == pytest.approx(-math.radians(30), abs=1e-3)
    assert (found["x_3"], found["y_67"]) == ("43.0", "63.0")
    assert float(empty["x_3"]) == float(empty["pose_Rx"]) == 0
    with create_sink(tmp_path / "b.openface.csv", SEVEN) as sink:
        sink.write(result_of(made_face()))
    assert "pose_Rx" not in read_csv(tmp_path / "b.openface.csv")[0]


@pytest.mark.parametrize("angles", [(0, 0, 0), (30, 0, 0), (0, 20, 0), (0, 0, -40), (35, -20, 50)])
def test_openface_angles_are_those_of_the_same_head(angles: tuple[float, float, float]) -> None:
    """R = Rx Ry Rz about x to the right, y down, z away from the camera."""
    rx, ry, rz = openface_angles(Pose(*angles))
    about = [np.eye(3) for _ in range(3)]
    for axis, (matrix, angle) in enumerate(zip(about, (rx, ry, rz), strict=True)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        matrix[first, first] = matrix[second, second] = math.cos(angle)
        matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    flip = np.diag([1, -1, -1])
    np.testing.assert_allclose(about[0] @ about[1] @ about[2], flip @ from_angles(angles) @ flip, atol=1e-6)


def test_pyfeat_columns_hold_degrees_and_points(tmp_path: Path) -> None:
    with create_sink(tmp_path / "a.pyfeat.csv", SEVEN, geometry=True) as sink:
        sink.write(result_of(made_face()))
        sink.write(result_of())
    found, empty = read_csv(tmp_path / "a.pyfeat.csv")
    assert (float(found["Pitch"]), float(found["Roll"]), float(found["Yaw"])) == (-5, 20, 10)
    assert float(found["x_67"]) == 47.0
    assert float(found["happiness"]) == 0.9
    assert empty["Yaw"] == empty["x_0"] == ""


def test_drawn_landmarks_and_axes() -> None:
    image = np.full((400, 400, 3), 90, np.uint8)
    face = made_face()
    plain = draw_faces(image, [face])
    both = draw_faces(image, [face], geometry=("landmarks", "pose"))
    assert both.shape == image.shape
    changed = np.argwhere(np.any(plain != both, axis=2))
    assert len(changed) > 30
    assert np.all(image == 90)
    without = draw_faces(image, [made_face(None)], geometry=("landmarks", "pose"))
    np.testing.assert_array_equal(without, draw_faces(image, [made_face(None)]))
    with pytest.raises(ConfigError, match="expected one of landmarks, pose"):
        draw_faces(image, [face], geometry=("hair",))


def test_the_command_line_writes_and_draws(portrait: Path, tmp_path: Path) -> None:
    arguments = [str(portrait), "--out", str(tmp_path / "a.csv"), "--save", str(tmp_path / "saved")]
    done = CliRunner().invoke(app, [*arguments, "--geometry"])
    assert done.exit_code == 0, done.output
    (row,) = read_csv(tmp_path / "a.csv")
    assert abs(float(row["yaw"])) < 30
    done = CliRunner().invoke(app, [*arguments, "--draw", "landmarks,pose", "--overwrite", "--json"])
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["faces"][0]["landmarks68"]) == 68
    done = CliRunner().invoke(app, [*arguments, "--draw", "hair"])
    assert isinstance(done.exception, ConfigError)
    assert "landmarks, pose" in str(done.exception)
