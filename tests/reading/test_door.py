"""What people pass to `mien.analyze`, and what they get."""

from __future__ import annotations

import base64
import io
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import mien
from mien.errors import ConfigError, MienError, SourceError
from mien.images.pictures import encode, read, write
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result, Results

PICTURE = np.random.default_rng(5).integers(0, 256, (60, 50, 3), np.uint8)
PNG = encode(PICTURE)
RGBA = np.dstack([PICTURE, np.full((60, 50), 255, np.uint8)])


class OneFace:
    """Remembers the pictures that it gets, and finds one face in each."""

    name, crops_given = "fake", True

    def __init__(self) -> None:
        self.images: list[Any] = []

    def detect(self, image: Any) -> mien.Detections:
        self.images.append(image)
        return mien.Detections.from_boxes([[0, 0, image.shape[1], image.shape[0]]], [1])


@pytest.fixture
def pipeline(toy_artifact: Path) -> Pipeline:
    return Pipeline(toy_artifact, detector=OneFace())


def seen(pipeline: Pipeline) -> Any:
    return pipeline.detector.images  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "source",
    [
        PNG, bytearray(PNG), memoryview(PNG), io.BytesIO(PNG), PICTURE, RGBA, base64.b64encode(PNG).decode(),
        "data:image/png;base64," + base64.b64encode(PNG).decode(),
    ],
)  # fmt: skip
def test_one_image_however_it_is_given(pipeline: Pipeline, source: Any) -> None:
    result = pipeline.analyze(source)
    assert isinstance(result, Result)
    assert [face.index for face in result] == [0]
    (image,) = seen(pipeline)
    assert np.array_equal(image, PICTURE)
    assert len(result.source) <= 80


def test_an_open_file_and_a_path(pipeline: Pipeline, tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", PICTURE)
    with path.open("rb") as file:
        assert pipeline.analyze(file).source == str(path)
    assert pipeline.analyze(str(path)).source == pipeline.analyze(path).source == str(path)
    assert all(np.array_equal(image, PICTURE) for image in seen(pipeline))


def test_grey_and_bgr_arrays(pipeline: Pipeline) -> None:
    pipeline.analyze(PICTURE[:, :, 0])
    pipeline.analyze(PICTURE[:, :, ::-1], color="bgr")
    pipeline.analyze(np.ascontiguousarray(RGBA[:, :, [2, 1, 0, 3]]), color="bgr")
    grey, bgr, bgra = seen(pipeline)
    assert np.array_equal(grey, np.repeat(PICTURE[:, :, :1], 3, axis=2))
    assert np.array_equal(bgr, PICTURE)
    assert np.array_equal(bgra, PICTURE)
    with pytest.raises(ConfigError, match="unknown color 'hsv'"):
        pipeline.analyze(PICTURE, color="hsv")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "CMYK", "1", "I;16", "LA"])
def test_pillow_images(pipeline: Pipeline, mode: str) -> None:
    image_module = pytest.importorskip("PIL.Image")
    grey = image_module.fromarray(PICTURE[:, :, 0])
    image = image_module.fromarray(PICTURE[:, :, 0].astype(np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    pipeline.analyze(image)
    (got,) = seen(pipeline)
    assert got.shape == (60, 50, 3)
    if mode not in ("1", "P", "CMYK"):
        assert np.array_equal(got[:, :, 0], PICTURE[:, :, 0])


def test_a_pillow_image_is_turned_upright(pipeline: Pipeline) -> None:
    image_module = pytest.importorskip("PIL.Image")
    exif = image_module.Exif()
    exif[274] = 6
    packed = io.BytesIO()
    image_module.fromarray(PICTURE).save(packed, "PNG", exif=exif)
    pipeline.analyze(image_module.open(io.BytesIO(packed.getvalue())))
    pipeline.analyze(packed.getvalue())
    by_pillow, by_mien = seen(pipeline)
    assert by_pillow.shape == (50, 60, 3)
    assert np.array_equal(by_pillow, by_mien)


def test_pillow_is_not_imported_unless_given() -> None:
    import subprocess

    code = "import sys, numpy as np, mien.sources.photos as p; list(p.iter_items(np.zeros((2, 2), np.uint8)))\n"
    subprocess.run([sys.executable, "-c", f"{code}assert 'PIL' not in sys.modules"], check=True)


def test_several_images_give_several_results(pipeline: Pipeline, tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", PICTURE)
    results = pipeline.analyze([path, None, PICTURE, float("nan"), "", tmp_path / "missing.png"])
    assert isinstance(results, Results)
    assert [len(result) for result in results] == [1, 0, 1, 0, 0, 0]
    assert [result.error is None for result in results] == [True, False, True, False, False, False]
    assert "item 1: expected a path" in str(results[1].error)
    assert "not NoneType" in str(results[1].error)
    assert "not an empty text" in str(results[4].error)
    assert len(pipeline.analyze(np.stack([PICTURE, PICTURE]))) == 2
    assert len(pipeline.analyze(np.array([str(path), str(path)]))) == 2
    assert len(mien.analyze([PICTURE, PICTURE], model=pipeline.model, detector="none")) == 2


def test_a_column_of_a_data_frame(pipeline: Pipeline, tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    path = str(write(tmp_path / "a.png", PICTURE))
    results = pipeline.analyze(pandas.Series([path, None, path]))
    assert [len(result) for result in results] == [1, 0, 1]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "not NoneType"), (3, "not int"), (object(), "not object"), ({"a": 1}, "not dict"),
        ("", "not an empty text"), ("x" * 500, r"x…x+: cannot be read: File name too long$"),
        ("data:image/png;base64,!!", "data URI"),
        ("data:text/plain,hello" * 9, "data URI"), ("iVBORw0KGgo" * 50, "no such file|cannot be read"),
        (PICTURE.astype(np.float32) / 255, r"\(image \* 255\)"), (PICTURE.astype(np.uint16), "image // 257"),
        (PICTURE[:, :, 0] > 3, r"\* 255"), (PICTURE.transpose(2, 0, 1), r"transpose\(1, 2, 0\)"),
        (io.StringIO("text"), "mode 'rb'"), (io.BytesIO(), r"seek\(0\)"), (b"", "empty"),
        (b"\x00\x00\x00\x18ftypmp42" + bytes(40), "a video: read it with"), ("a\0b", "cannot be read"),
    ],
)  # fmt: skip
def test_anything_else_is_one_short_error(pipeline: Pipeline, source: Any, message: str) -> None:
    with pytest.raises(MienError, match=message) as caught:
        pipeline.analyze(source)
    assert len(str(caught.value)) < 300


def test_a_folder_is_not_one_image(pipeline: Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.png", PICTURE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="this is a folder"):
        pipeline.analyze(tmp_path)
    with pytest.raises(SourceError, match="empty text"):
        pipeline.analyze("")


def test_a_folder_says_what_it_skips(pipeline: Pipeline, tmp_path: Path) -> None:
    for name in ("a.jfif", "b.jpe", "c.mpo", "d.JPG"):
        (tmp_path / name).write_bytes(encode(PICTURE, "jpeg"))
    (tmp_path / "photo.jpg_large").write_bytes(encode(PICTURE, "jpeg"))
    for name in ("x.mp4", "y.mp4", "notes.txt", ".hidden"):
        (tmp_path / name).write_bytes(b"something else")
    notices: list[str] = []
    results = list(pipeline.run(str(tmp_path), on_notice=notices.append))
    assert [len(result) for result in results] == [1] * 5
    assert notices == [f"{tmp_path}: 3 files skipped: 2 .mp4, 1 .txt"]


@pytest.mark.parametrize("make", [list, iter, np.stack, tuple])
def test_streams_of_arrays(pipeline: Pipeline, make: Any) -> None:
    results = list(pipeline.stream(make([PICTURE[:, :, ::-1]] * 3), color="bgr"))
    assert [result.frame and result.frame.index for result in results] == [0, 1, 2]
    assert all(np.array_equal(image, PICTURE) for image in seen(pipeline))


def test_a_stream_of_a_capture(pipeline: Pipeline, tmp_path: Path) -> None:
    from clips import write_clip

    capture = cv2.VideoCapture(str(write_clip(tmp_path / "clip.mp4", [0.0, 0.1, 0.2])))
    results = list(pipeline.stream(capture))
    assert [result.frame and result.frame.time_s for result in results] == pytest.approx([0, 0.1, 0.2], abs=0.06)
    capture.release()


def test_what_a_result_can_do(pipeline: Pipeline, tmp_path: Path) -> None:
    result = pipeline.analyze(PICTURE)
    assert repr(result).startswith("Result('array 0', 1 face: ")
    assert repr(result.frame) == "Frame('array 0', 50 × 60, index 0, 0.000 s)"
    assert result.to_dict()["faces"][0]["top"] == result[0].top
    assert result.plot().shape == read(result.save(tmp_path / "a.png")).shape
    assert "data:image/jpeg;base64," in result._repr_html_()
    with pytest.raises(ConfigError, match="cannot write"):
        result.save(tmp_path / "nowhere" / "a.png")
    bad = pipeline.analyze([tmp_path / "<missing>.png"])[0]
    assert "&lt;missing&gt;" in bad._repr_html_()
    with pytest.raises(SourceError, match="no such file"):
        bad.plot()
    again = pickle.loads(pickle.dumps(result))
    assert again.faces == result.faces


def test_results_as_a_table(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    table = pipeline.analyze([PICTURE, PICTURE]).to_df()
    assert list(table["source"]) == ["array 0", "array 1"]
    assert {"happy", "top", "confidence"} <= set(table.columns)
    assert len(pipeline.analyze(PICTURE).to_df()) == 1
    monkeypatch.setitem(sys.modules, "pandas", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(mien.MissingExtraError, match=r"mien\[pandas\]"):
        pipeline.analyze(PICTURE).to_df()


def test_a_table_of_images_without_a_face_has_the_same_columns_and_types(pipeline: Pipeline) -> None:
    pytest.importorskip("pandas")
    found = pipeline.analyze(PICTURE)
    without = replace(found, faces=[])
    assert without.to_df().dtypes.to_dict() == found.to_df().dtypes.to_dict()


def test_show_without_a_viewer(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(ConfigError, match="no image viewer"):
        pipeline.analyze(PICTURE).show()


@pytest.mark.parametrize(("degrees", "turns"), [(90, -1), (180, 2), (270, 1)])
def test_rotation_of_images_and_frames(toy_artifact: Path, degrees: int, turns: int) -> None:
    pipeline = Pipeline(toy_artifact, detector=OneFace(), rotate=degrees)
    (face,) = pipeline.analyze(PICTURE)
    assert face.box[2:] == ((60, 50) if degrees != 180 else (50, 60))
    (result,) = pipeline.stream([PICTURE])
    assert result.frame is not None
    assert all(np.array_equal(image, np.rot90(PICTURE, turns)) for image in [*seen(pipeline), result.frame.image])
    with pytest.raises(ConfigError, match="0, 90, 180 or 270"):
        Pipeline(toy_artifact, rotate=45)
