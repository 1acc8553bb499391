from __future__ import annotations

import contextlib
import csv
import io
import json
import tempfile
from itertools import islice
from pathlib import Path

import av
import pytest

pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')

from portraits import write_portrait_clip

from mien.apps.web.charts import chart_track, describe_track
from mien.apps.web.film_reading import PREVIEWS, Film, Wishes, create_film, read_film
from mien.reading.pipeline import Pipeline


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(detector="haar")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return write_portrait_clip(tmp_path_factory.mktemp("clip") / "clip.mp4").read_bytes()


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, to see whether any is left."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def read_whole(clip: bytes, pipeline: Pipeline, wishes: Wishes | None = None) -> Film:
    film = create_film("clip.mp4", pipeline)
    for _ in read_film(clip, film, pipeline, wishes or Wishes()):
        pass
    return film


def test_a_film_is_read_and_nothing_lies_about(clip: bytes, pipeline: Pipeline, temporary: Path) -> None:
    film = read_whole(clip, pipeline)
    assert (film.complete, film.frames, film.trouble, film.progress) == (True, 24, "", 1.0)
    assert {episode.label for episode in film.episodes()} == {"happy"}
    assert 2 <= len(film.previews) <= PREVIEWS
    table = list(csv.DictReader(io.StringIO(film.rows.to_csv())))
    assert {row["source"] for row in table} == {"clip.mp4"}
    assert [row["success"] for row in table] == ["1"] * 12 + ["0"] * 12
    assert len([json.loads(line) for line in film.rows.to_json_lines().splitlines()]) == film.rows.count == 24
    assert not list(temporary.iterdir())


def test_rows_as_parquet(clip: bytes, pipeline: Pipeline, temporary: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason='needs pip install "mien[parquet]"')
    table = parquet.read_table(io.BytesIO(read_whole(clip, pipeline).rows.to_parquet()))
    assert table.num_rows == 24
    assert not list(temporary.iterdir())


def test_what_was_read_before_a_stop_stands(clip: bytes, pipeline: Pipeline, temporary: Path) -> None:
    film = create_film("clip.mp4", pipeline)
    with contextlib.closing(read_film(clip, film, pipeline, Wishes(annotate=True))) as results:
        assert len(list(islice(results, 5))) == 5
        assert list(temporary.iterdir())
    assert (film.complete, film.frames, film.trouble) == (False, 5, "")
    assert film.rows.to_csv().count("\n") == 6
    assert not list(temporary.iterdir())


def test_fewer_frames_a_second_and_an_annotated_film(clip: bytes, pipeline: Pipeline, temporary: Path) -> None:
    film = read_whole(clip, pipeline, Wishes(rate_hz=2.0, annotate=True))
    assert film.frames == 5
    with av.open(io.BytesIO(film.marked)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
    assert not list(temporary.iterdir())


def test_what_is_no_film_is_told_without_the_temporary_name(pipeline: Pipeline, temporary: Path) -> None:
    film = create_film("../a\0b.mp4\0", pipeline)
    assert not list(read_film(b"nothing", film, pipeline, Wishes()))
    assert film.trouble
    assert str(temporary) not in film.trouble
    assert not list(temporary.iterdir())


def test_a_chart_has_colours_and_words(clip: bytes, pipeline: Pipeline) -> None:
    film = read_whole(clip, pipeline)
    (track,) = film.history.tracks()
    (values,) = chart_track(track, film.history).to_dict()["datasets"].values()
    assert max(value["x2"] for value in values) < 1.35
    assert {value["label"] for value in values if not value["p"]} == {"happy"}
    assert "happy 100 %" in describe_track(film.summary().tracks[0])
