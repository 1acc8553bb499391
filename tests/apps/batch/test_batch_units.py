from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow.parquet as pq

from mien import Pipeline
from mien.apps import storage
from mien.apps.batch import unit_reader
from mien.apps.batch.attempts import Attempt
from mien.apps.batch.plan import Ledger, Unit
from mien.apps.batch.unit_reader import BatchOptions, UnitReader
from mien.apps.storage import Storage, StorageError
from mien.images.pictures import encode, write
from mien.sinks import create_sink

OPTIONS = BatchOptions({"detector": "none"}, "mien-xs")


@pytest.fixture
def out(tmp_path: Path) -> Storage:
    store = Storage(str(tmp_path / "out"))
    Ledger(store).begin({}, resume=False, overwrite=False)
    return store


@pytest.fixture
def faces(tmp_path: Path) -> list[str]:
    random = np.random.default_rng(3)
    paths = [tmp_path / f"face [{i}].png" for i in range(5)]
    for path in paths:
        write(path, random.integers(0, 255, (48, 48, 3), np.uint8))
    return [str(path) for path in paths]


def rows_of(store: Storage, unit: Unit) -> list[dict[str, object]]:
    return pq.read_table(Path(store.uri, unit.rows_path)).to_pylist()


def errors_of(store: Storage, unit: Unit) -> list[dict[str, str]]:
    path = Path(store.uri, unit.errors_path)
    return pq.read_table(path).to_pylist() if path.exists() else []


def test_the_rows_are_those_of_analyze(out: Storage, faces: list[str], tmp_path: Path) -> None:
    unit = Unit.of("pictures", faces)
    done = UnitReader(OPTIONS, out.uri, 1).read(unit)
    pipeline = Pipeline("mien-xs", detector="none")
    with create_sink(tmp_path / "rows.parquet", pipeline.labels) as sink:
        for result in pipeline.run([Path(name) for name in faces]):
            sink.write(result)
    assert (done.inputs, done.faces, done.errors) == (5, 5, 0)
    ours = pq.read_table(Path(out.uri, unit.rows_path))
    assert ours.schema.equals(pq.read_schema(tmp_path / "rows.parquet"))
    assert ours.to_pylist() == pq.read_table(tmp_path / "rows.parquet").to_pylist()


def test_a_bad_file_costs_one_error_and_no_neighbour(out: Storage, faces: list[str], tmp_path: Path) -> None:
    bad, gone = tmp_path / "bad.jpg", str(tmp_path / "gone*.jpg")
    bad.write_bytes(b"\xff\xd8\xff\xe0 cut off")
    unit = Unit.of("pictures", [faces[0], str(bad), gone, faces[1]])
    done = UnitReader(OPTIONS, out.uri, 1).read(unit)
    assert [row["source"] for row in rows_of(out, unit)] == [faces[0], faces[1]]
    assert done.errors == 2
    assert {row["source"] for row in errors_of(out, unit)} == {str(bad), gone}
    assert {row["unit"] for row in errors_of(out, unit)} == {unit.id}
    assert all(row["source"] in row["error"] for row in errors_of(out, unit))


def test_pictures_from_a_server_keep_their_names(
    out: Storage, serving: Callable[[dict[str, list[int]]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = encode(np.full((48, 48, 3), 120, np.uint8), "png")
    names = [f"http://127.0.0.1/{place}.png" for place in range(20)]
    answers = dict.fromkeys(names, picture) | {names[7]: b"not a picture"}
    monkeypatch.setattr(unit_reader, "fetch", answers.__getitem__)
    unit = Unit.of("pictures", names)
    UnitReader(OPTIONS, out.uri, 1).read(unit)
    assert [row["source"] for row in rows_of(out, unit)] == [name for name in names if name != names[7]]
    assert [row["source"] for row in errors_of(out, unit)] == [names[7]]
    assert names[7] in errors_of(out, unit)[0]["error"]


def test_a_lost_store_is_no_bad_input(out: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(name: str) -> bytes:
        raise StorageError(f"cannot read {name}: expired token")

    monkeypatch.setattr(unit_reader, "fetch", lost)
    unit = Unit.of("pictures", ["s3://bucket/a.jpg"])
    done = UnitReader(OPTIONS, out.uri, 1).read(unit)
    assert done.fatal == "cannot read s3://bucket/a.jpg: expired token"
    # Not whole, so it is read again once the store is back.
    assert unit.id not in Ledger(out).whole()


def test_an_input_that_ends_its_worker_twice_is_left_out(out: Storage, faces: list[str]) -> None:
    unit = Unit.of("pictures", faces)
    Attempt(out, unit)  # the first ends somewhere
    for _ in range(2):
        attempt = Attempt(out, unit)
        assert attempt.begins(faces[0])
        assert attempt.begins(faces[3])  # where the worker dies
    done = UnitReader(OPTIONS, out.uri, 1).read(unit)
    assert done.errors == 1
    assert [row["source"] for row in errors_of(out, unit)] == [faces[3]]
    assert "ended its worker more than once" in errors_of(out, unit)[0]["error"]
    assert len(rows_of(out, unit)) == 4


def test_an_innocent_input_is_not_blamed_for_two_deaths_at_other_places(out: Storage, faces: list[str]) -> None:
    unit = Unit.of("pictures", faces)
    Attempt(out, unit)
    for place in (1, 4):
        Attempt(out, unit).begins(faces[place])
    assert Attempt(out, unit).begins(faces[1])


def test_reading_a_unit_again_writes_the_same_rows(out: Storage, faces: list[str]) -> None:
    unit, reader = Unit.of("pictures", faces), UnitReader(OPTIONS, out.uri, 1)
    reader.read(unit)
    before = rows_of(out, unit)
    reader.read(unit)
    assert rows_of(out, unit) == before
    assert len(list(Path(out.uri, "pictures").iterdir())) == 1


def test_a_video_that_is_cut_has_each_frame_once(out: Storage, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    film = tmp_path / "film.mp4"
    with av.open(str(film), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        for shade in range(60):
            image = np.full((64, 64, 3), shade * 4, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    from mien.apps.batch.inputs import Input
    from mien.apps.batch.plan import divide

    reader = UnitReader(BatchOptions({"detector": "none"}, "mien-xs", track=False), out.uri, 1)
    whole, *_ = divide([Input(str(film), "video")])
    parts = divide([Input(str(film), "video")], part_s=0.7)
    assert len(parts) > 2
    for unit in (whole, *parts):
        assert not reader.read(unit).errors
    together = [row for part in parts for row in rows_of(out, part)]
    assert [(row["frame"], row["time_s"]) for row in together] == [
        (row["frame"], row["time_s"]) for row in rows_of(out, whole)
    ]
    assert len(together) == 60


def test_a_broken_video_is_one_error(out: Storage, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(io.BytesIO(b"\0\0\0\x18ftypmp42 and no more").getvalue())
    unit = Unit.of("video", [str(film)])
    done = UnitReader(OPTIONS, out.uri, 1).read(unit)
    assert (done.errors, done.rows, done.fatal) == (1, 0, "")
    assert not rows_of(out, unit)
    assert errors_of(out, unit)[0]["source"] == str(film)


def test_the_names_of_stores(tmp_path: Path) -> None:
    assert storage.scheme_of("s3://bucket/x") == "s3"
    assert storage.scheme_of(str(tmp_path)) == ""
    assert storage.scheme_of("rtsp://camera/1") == ""
