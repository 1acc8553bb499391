from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mien.errors import ConfigError, SourceError
from mien.labels import EIGHT, SEVEN
from mien.reading.results import Result, rows
from mien.sinks import SINKS, columns, create_sink
from mien.structures import Face, Frame

FRAME = Frame(np.zeros((10, 10, 3), np.uint8), "a.jpg")


def make_face(labels: tuple[str, ...] = SEVEN, index: int = 0) -> Face:
    rest = 0.4 / (len(labels) - 1)
    probabilities = {label: 0.6 if label == "happy" else rest for label in labels}
    return Face((1.26, 2, 4, 8), 0.98765, probabilities, model="toy 1.0", detector="fake", index=index)


def make_result(*faces: Face, source: str = "a.jpg") -> Result:
    return Result(source, FRAME, list(faces))


@pytest.mark.parametrize("labels", [SEVEN, EIGHT])
def test_the_columns_are_the_documented_ones(labels: tuple[str, ...]) -> None:
    row = rows(make_result(make_face(labels)), labels)[0]
    assert tuple(row) == columns(labels)
    assert columns(labels) == (
        "source", "frame", "time_s", "track_id", "face", "success", "detection_score", "x", "y", "width",
        "height", *labels, "top", "confidence", "abstained", "quality", "quality_score", "model", "detector",
        "valence", "arousal", "intensity", "valence_sd", "arousal_sd", "intensity_sd", "affect_source",
    )  # fmt: skip


def test_a_row_a_face() -> None:
    first, second = rows(make_result(make_face(), make_face(index=1)), SEVEN)
    assert (first["face"], second["face"]) == (0, 1)
    assert (first["x"], first["y"], first["width"], first["height"]) == (1.3, 2, 2.7, 6)
    assert (first["success"], first["top"], first["confidence"], first["happy"]) == (1, "happy", 0.6, 0.6)
    assert first["track_id"] is None


def test_a_picture_without_a_face_is_a_row_of_its_own() -> None:
    (row,) = rows(make_result(), SEVEN)
    filled = {key: value for key, value in row.items() if value is not None}
    assert filled == {"source": "a.jpg", "frame": 0, "time_s": 0.0, "success": 0}


def test_a_picture_that_could_not_be_read_is_none() -> None:
    assert rows(Result("b.jpg", None, [], SourceError("gone")), SEVEN) == []


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with create_sink(path, SEVEN) as sink:
        sink.write(make_result(make_face(), source='größe "1",\n.jpg'))
        sink.write(make_result())
    first, second = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert first["source"] == 'größe "1",\n.jpg'
    assert tuple(first) == tuple(second) == columns(SEVEN)
    assert second["happy"] is None


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    with create_sink(path, SEVEN) as sink:
        sink.write(make_result(make_face(), source='größe "1",\n.jpg'))
        sink.write(make_result())
    with path.open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["source"] == 'größe "1",\n.jpg'
    assert float(first["happy"]) == 0.6
    assert (second["success"], second["happy"], second["top"]) == ("0", "", "")


@pytest.mark.parametrize("suffix", SINKS)
class TestEverySink:
    def test_the_file_appears_when_it_is_finished(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"out{suffix}"
        with create_sink(path, SEVEN) as sink:
            sink.write(make_result(make_face()))
            assert not path.exists()
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

    def test_after_an_error_the_part_stays(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"out{suffix}"
        with pytest.raises(AttributeError), create_sink(path, SEVEN) as sink:  # noqa: PT012
            sink.write(make_result(make_face()))
            sink.write(None)  # type: ignore[arg-type]
        assert [entry.name for entry in tmp_path.iterdir()] == [f"{path.name}.part"]
        assert "0.6" in (tmp_path / f"{path.name}.part").read_text()

    def test_a_file_is_replaced_only_when_asked_to(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"out{suffix}"
        path.write_text("precious")
        with pytest.raises(ConfigError, match="already exists"):
            create_sink(path, SEVEN)
        assert path.read_text() == "precious"
        with create_sink(path, SEVEN, overwrite=True) as sink:
            sink.write(make_result())
            assert path.read_text() == "precious"
        assert b"precious" not in path.read_bytes()

    def test_a_name_that_is_no_unicode(self, tmp_path: Path, suffix: str) -> None:
        with create_sink(tmp_path / f"out{suffix}", SEVEN) as sink:
            sink.write(make_result(source="odd\udcff.jpg"))
        found = (tmp_path / f"out{suffix}").read_bytes()
        assert b"\\udcff" in found or suffix == ".openface.csv"

    def test_a_folder_that_is_not(self, tmp_path: Path, suffix: str) -> None:
        with pytest.raises(ConfigError, match="cannot write"):
            create_sink(tmp_path / "nowhere" / f"out{suffix}", SEVEN)


@pytest.mark.parametrize("name", ["out.xlsx", "out"])
def test_an_unknown_ending_lists_those_there_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"\.jsonl, \.ndjson, \.csv"):
        create_sink(tmp_path / name, SEVEN)
