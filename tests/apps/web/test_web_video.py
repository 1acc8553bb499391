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

from mien.apps.web.cards import chart_track, describe_track
from mien.apps.web.video_reading import PREVIEWS, Video, VideoOptions, create_video, read_video
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


def read_whole(clip: bytes, pipeline: Pipeline, options: VideoOptions | None = None) -> Video:
    video = create_video("clip.mp4", pipeline)
    for _ in read_video(clip, video, pipeline, options or VideoOptions()):
        pass
    return video


def test_a_video_is_read_and_nothing_lies_about(clip: bytes, pipeline: Pipeline, temporary: Path) -> None:
    video = read_whole(clip, pipeline)
    assert (video.complete, video.frames, video.trouble, video.progress) == (True, 24, "", 1.0)
    assert {episode.label for episode in video.episodes()} == {"happy"}
    assert 2 <= len(video.previews) <= PREVIEWS
    table = list(csv.DictReader(io.StringIO(video.rows.to_csv())))
    assert {row["source"] for row in table} == {"clip.mp4"}
    assert [row["success"] for row in table] == ["1"] * 12 + ["0"] * 12
    assert len([json.loads(line) for line in video.rows.to_json_lines().splitlines()]) == video.rows.count == 24
    assert not list(temporary.iterdir())


def test_rows_as_parquet(clip: bytes, pipeline: Pipeline, temporary: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason='needs pip install "mien[parquet]"')
    table = parquet.read_table(io.BytesIO(read_whole(clip, pipeline).rows.to_parquet()))
    assert table.num_rows == 24
    assert not list(temporary.iterdir())


def test_what_was_read_before_a_stop_stands(clip: bytes, pipeline: Pipeline, temporary: Path) -> None:
    video = create_video("clip.mp4", pipeline)
    with contextlib.closing(read_video(clip, video, pipeline, VideoOptions(annotate=True))) as results:
        assert len(list(islice(results, 5))) == 5
        assert list(temporary.iterdir())
    assert (video.complete, video.frames, video.trouble) == (False, 5, "")
    assert video.rows.to_csv().count("\n") == 6
    assert not list(temporary.iterdir())


def test_fewer_frames_a_second_and_an_annotated_video(clip: bytes, pipeline: Pipeline, temporary: Path) -> None:
    video = read_whole(clip, pipeline, VideoOptions(rate_hz=2.0, annotate=True))
    assert video.frames == 5
    with av.open(io.BytesIO(video.annotated)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
    assert not list(temporary.iterdir())


def test_what_is_no_video_is_told_without_the_temporary_name(pipeline: Pipeline, temporary: Path) -> None:
    video = create_video("../a\0b.mp4\0", pipeline)
    assert not list(read_video(b"nothing", video, pipeline, VideoOptions()))
    assert video.trouble
    assert str(temporary) not in video.trouble
    assert not list(temporary.iterdir())


def test_a_chart_has_colours_and_words(clip: bytes, pipeline: Pipeline) -> None:
    video = read_whole(clip, pipeline)
    (track,) = video.history.tracks()
    (values,) = chart_track(track, video.history).to_dict()["datasets"].values()
    assert max(value["x2"] for value in values) < 1.35
    assert {value["label"] for value in values if not value["p"]} == {"happy"}
    assert "happy 100 %" in describe_track(video.summary().tracks[0])
