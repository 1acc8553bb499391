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

from mien.apps.live.parts import join_scripts
from mien.apps.web import example_clip, player
from mien.apps.web.player import COLUMNS, describe_video
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


def test_rows_can_be_read_before_they_are_finished(clip: bytes, pipeline: Pipeline) -> None:
    video = create_video("clip.mp4", pipeline)
    with contextlib.closing(read_video(clip, video, pipeline, VideoOptions())) as results:
        next(results)
        assert len(list(video.rows)) <= 1


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


def test_the_player_is_told_what_each_face_showed_and_when(clip: bytes, pipeline: Pipeline) -> None:
    video = read_whole(clip, pipeline)
    found = describe_video(video)
    assert (found["begin_s"], found["end_s"]) == (0.0, pytest.approx(2.4))
    (lane,) = found["tracks"]
    assert "happy 100 %" in lane["words"]
    assert [column is None for column in lane["columns"]] == [False] * (COLUMNS // 2) + [True] * (COLUMNS // 2)
    happy = found["labels"].index("happy")
    assert {column[0] for column in lane["columns"] if column} == {happy}
    assert all(sum(column[1:]) == pytest.approx(1000, abs=4) for column in lane["columns"] if column)
    assert [len(faces) for _, faces in found["steps"]] == [1] * 12 + [0] * 12
    number, x, _, width, _, top, unsure, thousandths, *_ = found["steps"][0][1][0]
    assert (number, top, unsure) == (1, happy, 0)
    assert 0 < x < x + width < video.width
    assert thousandths[happy] > 900
    assert [(entry[0], entry[3]) for entry in found["episodes"]] == [(1, "happy")]
    json.dumps(found, allow_nan=False)


def test_of_a_long_video_the_player_gets_every_so_many_frames(
    clip: bytes, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = read_whole(clip, pipeline)
    monkeypatch.setattr(player, "MOST_FACES", 6)
    assert [time_s for time_s, _ in describe_video(video)["steps"]] == pytest.approx([0.0, 0.4, 0.8, 1.2, 1.6, 2.0])


def test_the_scripts_of_the_player_are_one_module() -> None:
    text = join_scripts(Path(player.__file__).parent / "assets" / "player.js")
    assert "import " not in text
    assert text.count("export ") == 1
    assert "export default function" in text
    assert "innerHTML" not in text


def test_the_example_shows_one_portrait_after_the_other() -> None:
    pictures = list(example_clip.iter_pictures())
    assert {picture.shape for picture in pictures} == {(example_clip.HEIGHT, example_clip.WIDTH, 3)}
    assert len(pictures) == example_clip.SECONDS * example_clip.RATE_HZ
    assert (pictures[0] != pictures[len(pictures) // 2]).mean() > 0.9
