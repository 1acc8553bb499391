from __future__ import annotations

import csv
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import make_face, make_result, make_video

from mien.errors import ConfigError
from mien.labels import EIGHT, SEVEN
from mien.reading.results import Results, rows
from mien.sinks import columns, create_sink
from mien.sinks.resume import read_table
from mien.sinks.tables import CsvSink, JsonLinesSink


def test_a_frame_without_a_face_has_its_row() -> None:
    found = [row for result in make_video("happy", None, "sad") for row in rows(result, SEVEN, moving=True)]
    assert [(row["frame"], row["time_s"], row["success"]) for row in found] == [(0, 0.0, 1), (1, 0.1, 0), (2, 0.2, 1)]
    assert found[1]["top"] is None


def test_smoothed_values_have_those_of_the_frame_alone_beside_them() -> None:
    (row,) = rows(make_result(0, [make_face("happy", 3, raw="sad")]), SEVEN, moving=True)
    assert tuple(row) == (*columns(SEVEN), *(f"raw_{label}" for label in SEVEN), "raw_top")
    assert (row["track_id"], row["top"], row["raw_top"]) == (3, "happy", "sad")
    assert (row["sad"], row["raw_sad"]) == (0.05, 0.7)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_rows_are_on_disk_as_they_come(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    with create_sink(path, SEVEN, moving=True) as sink:
        for count, result in enumerate(make_video("happy", "happy", None), 1):
            sink.write(result)
            lines = (tmp_path / f"rows{suffix}.part").read_text().splitlines()
            assert len(lines) == count + (suffix == ".csv")


def test_parquet_keeps_types_and_missing_values(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    with create_sink(path, EIGHT) as sink:
        for result in make_video("happy", None):
            sink.write(result)
    table = parquet.read_table(path)
    assert tuple(table.column_names) == columns(EIGHT)
    assert table["frame"].to_pylist() == [0, 1]
    assert table["top"].to_pylist() == ["happy", None]
    assert table["happy"].to_pylist() == [pytest.approx(0.7), None]


def test_parquet_has_booleans_and_says_what_it_is(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "rows.parquet"
    with create_sink(path, SEVEN) as sink:
        for result in make_video("happy", None):
            sink.write(result)
    schema = parquet.read_schema(path)
    assert {str(schema.field(name).type) for name in ("success", "abstained")} == {"bool"}
    assert parquet.read_table(path)["success"].to_pylist() == [True, False]
    told = json.loads(schema.metadata[b"mien"])
    assert told["labels"] == list(SEVEN)
    assert (told["models"], told["detectors"]) == (["toy 1.0"], ["fake"])
    assert told["units"]["time_s"].startswith("seconds")


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
@pytest.mark.parametrize("shown", [("happy", None), (None, None)])
def test_a_table_comes_back_with_its_types_also_without_a_face(
    tmp_path: Path, suffix: str, shown: tuple[str | None, ...]
) -> None:
    pytest.importorskip("pandas")
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"rows{suffix}"
    with create_sink(path, SEVEN, moving=True) as sink:
        for result in make_video(*shown):
            sink.write(result)
    found = read_table(path)
    assert tuple(found.columns) == columns(SEVEN, moving=True)
    types = {name: str(found[name].dtype) for name in ("source", "top", "track_id", "happy", "raw_top", "abstained")}
    assert types == {
        "source": "string", "top": "string", "track_id": "Int64", "happy": "float64", "raw_top": "string",
        "abstained": "boolean",
    }  # fmt: skip
    assert found["success"].tolist() == [label is not None for label in shown]
    assert found["happy"].mean() == pytest.approx(0.7, nan_ok=True) or shown[0] is None


def test_what_a_data_frame_writes_is_read_again(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = Results(make_video("happy", None)).to_df()
    frame.to_csv(tmp_path / "rows.csv", index=False)
    pandas.testing.assert_frame_equal(read_table(tmp_path / "rows.csv"), frame)


def test_only_tables_of_miens_own_are_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="another tool"):
        read_table(tmp_path / "a.openface.csv")


def test_openface_names_and_counting(tmp_path: Path) -> None:
    path = tmp_path / "a.openface.csv"
    with create_sink(path, SEVEN) as sink:
        for result in make_video("happy", None):
            sink.write(result)
    text = path.read_text()
    assert text.startswith("frame, face_id, timestamp, confidence, success, x, y, width, height, angry, ")
    first, second = csv.DictReader(text.splitlines(), skipinitialspace=True)
    assert (first["frame"], first["face_id"], first["timestamp"], first["success"]) == ("1", "0", "0.000", "1")
    assert (first["confidence"], first["happy"]) == ("0.90", "0.7000")
    assert (second["frame"], second["timestamp"], second["success"], second["happy"]) == ("2", "0.100", "0", "0.0000")


def test_pyfeat_names(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with create_sink(path, SEVEN, format_name="pyfeat") as sink:
        for result in make_video("happy", None):
            sink.write(result)
    first, second = csv.DictReader(path.read_text().splitlines())
    assert {"anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral"} < first.keys()
    assert (first["FaceRectX"], first["FaceRectWidth"], first["FaceScore"]) == ("10.0", "30.0", "0.9")
    assert (first["happiness"], first["sadness"], first["input"]) == ("0.7", "0.05", "clip.mp4")
    assert (second["frame"], second["FaceRectX"], second["happiness"]) == ("1", "", "")


def test_openface_has_no_column_for_a_second_source(tmp_path: Path) -> None:
    path = tmp_path / "a.openface.csv"
    with create_sink(path, SEVEN) as sink:
        for result in make_video("happy", None):
            sink.write(result)
        with pytest.raises(ConfigError, match="holds one video or image"):
            sink.write(make_video("sad", source="other.mp4")[0])
    assert len(path.read_text().splitlines()) == 3


def test_pyfeat_takes_faces_of_two_sources_for_two_persons(tmp_path: Path) -> None:
    path = tmp_path / "a.pyfeat.csv"
    with create_sink(path, SEVEN) as sink:
        for source in ("a.jpg", "b.jpg", "c.jpg"):
            sink.write(make_result(0, [make_face(track_id=None), make_face(track_id=4)], source=source))
    found = [row["Identity"] for row in csv.DictReader(path.read_text().splitlines())]
    assert found == ["Person_1", "Person_4", "Person_5", "Person_8", "Person_9", "Person_12"]


def test_an_unknown_format_lists_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="jsonl, csv, parquet, openface, pyfeat"):
        create_sink(tmp_path / "a.csv", SEVEN, format_name="xlsx")


FILL_THE_DISK = """
import sys
from made_up import make_video
from mien.errors import ConfigError
from mien.sinks import create_sink
from mien.labels import SEVEN
try:
    with create_sink(sys.argv[1], SEVEN, moving=True) as sink:
        for result in make_video(*["happy"] * 1000):
            sink.write(result)
except ConfigError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_full_disk_leaves_whole_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    done = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "cannot write" in done.stderr
    assert f"so far is in {path}.part" in done.stderr
    lines = (tmp_path / f"rows{suffix}.part").read_text().splitlines(keepends=True)
    assert len(lines) > 10
    assert all(line.endswith("\n") for line in lines)
    if suffix != ".csv":
        assert json.loads(lines[-1])["frame"] == len(lines) - 1


def test_two_runs_do_not_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with JsonLinesSink(path, SEVEN) as first:
        first.write(make_result(0, [make_face("happy", 1)]))
        for options in ({}, {"overwrite": True}, {"append": True}):
            with pytest.raises(ConfigError, match=r"another run|did not finish"):
                JsonLinesSink(path, SEVEN, **options)
    assert len(path.read_text().splitlines()) == 1


def test_what_a_killed_run_left_is_not_lost_unasked(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    sink = CsvSink(path, SEVEN)
    sink.write(make_result(0, [make_face("happy", 1)]))
    sink.__exit__(KeyboardInterrupt, None, None)
    part = tmp_path / "rows.csv.part"
    kept = part.read_bytes()
    with pytest.raises(ConfigError, match="rows of a run that did not finish: add --resume"):
        CsvSink(path, SEVEN)
    assert part.read_bytes() == kept
    CsvSink(path, SEVEN, overwrite=True).close()
    assert not part.exists()
