"""Small files that other software reads wrongly, through library, command line and folder; their README says more."""

from __future__ import annotations

import csv
import importlib.util
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mien.apps.cli.main import main
from mien.errors import SourceError
from mien.images.pictures import read
from mien.reading.pipeline import Pipeline
from mien.reading.results import Result
from mien.sources.container import kind_of
from mien.sources.opening import open_source

pytestmark = pytest.mark.data

IMAGES = {
    "photo.avif": (320, 320), "download.jfif": (300, 300), "noeoi.jpg": (400, 400), "exif.heic": (320, 320),
    "plain.heic": (320, 320), "iphone_tiles_small.heic": (540, 960),
}  # fmt: skip
"""Height and width of each."""
VIDEOS = {"cam_exif.avi": 24, "short3.mp4": 3, "anam.mp4": 72, "turn2.webm": 72}
"""Frames of each."""
HAS_HEIC = importlib.util.find_spec("pillow_heif") is not None


@pytest.fixture(scope="module")
def cases(shared: Path) -> Path:
    return shared / "data" / "cases"


@pytest.fixture(scope="module")
def pipeline(shared: Path) -> Pipeline:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIEN_HOME", str(shared / "weights"))
        return Pipeline(detector="yunet", threads=1)


@pytest.fixture
def mien(shared: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("MIEN_HOME", str(shared / "weights"))

    def run(*arguments: object) -> int:
        try:
            main(["analyze", "--detector", "yunet", *map(str, arguments)])
        except SystemExit as end:
            return int(end.code or 0)
        return 0

    return run


@pytest.mark.parametrize("name", [*IMAGES, *VIDEOS])
def test_what_each_file_is(cases: Path, name: str, tmp_path: Path) -> None:
    wanted = "image" if name in IMAGES else "video"
    assert kind_of(cases / name) == wanted
    unnamed = tmp_path / "unnamed"
    unnamed.write_bytes((cases / name).read_bytes())
    assert kind_of(unnamed) == wanted


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_is_one_image_of_full_size(cases: Path, pipeline: Pipeline, name: str) -> None:
    if name.endswith(".heic") and not HAS_HEIC:
        with pytest.raises(SourceError, match=r'pip install "mien\[heic\]"'):
            pipeline.analyze(cases / name)
        with pytest.raises(SourceError, match="expected a video, this is a HEIC image"):
            open_source(cases / name)
        return
    for source in (cases / name, (cases / name).read_bytes()):
        result = pipeline.analyze(source)
        assert isinstance(result, Result)
        assert result.frame is not None
        assert result.frame.image.shape[:2] == IMAGES[name]
        assert len(result) >= 1


@pytest.mark.parametrize("name", VIDEOS)
def test_a_video_has_its_face_throughout(cases: Path, pipeline: Pipeline, name: str) -> None:
    results = list(pipeline.stream(cases / name))
    assert len(results) == VIDEOS[name]
    assert sum(len(result) > 0 for result in results) >= 0.9 * len(results)


def test_a_video_that_changes_its_size_is_noticed_once(cases: Path) -> None:
    notices: list[str] = []
    with open_source(cases / "turn2.webm", on_notice=notices.append) as source:
        assert {frame.image.shape[:2] for frame in source} == {(360, 202), (360, 640)}
    (notice,) = notices
    assert "from 202 × 360 to 640 × 360 pixels" in notice


def test_a_jpeg_without_its_end_is_noticed(cases: Path) -> None:
    notices: list[str] = []
    read(cases / "noeoi.jpg", on_notice=notices.append)
    assert [notice.partition(": ")[2] for notice in notices] == ["the JPEG lacks its end marker; the image is complete"]
    whole = (cases / "noeoi.jpg").read_bytes()
    for share in (0.5, 0.9, 0.97):
        with pytest.raises(SourceError, match="cut off or damaged"):
            Pipeline("mien-s", detector="none").analyze(whole[: int(share * len(whole))])


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_turned_without_saying_so_has_its_face(cases: Path, pipeline: Pipeline, quarters: int) -> None:
    image = read(cases.parent / "photos" / "astronaut.png")
    (expected,) = pipeline.analyze(image)
    turned = np.ascontiguousarray(np.rot90(image, -quarters))
    (face,) = pipeline.analyze(turned)
    assert face.top == expected.top == "happy"
    assert face.confidence > 0.9
    # In pixels of the photo as it is given.
    x1, y1 = face.box[:2]
    moved = {1: (512 - expected.box[3], expected.box[0]), 2: (512 - expected.box[2], 512 - expected.box[3]),
             3: (expected.box[1], 512 - expected.box[2])}[quarters]  # fmt: skip
    assert (x1, y1) == pytest.approx(moved, abs=4)
    assert Pipeline(pipeline.model, detector=pipeline.detector.detector, rotate=0).analyze(turned)[:1] != [face]


@pytest.mark.parametrize("quarters", [1, 2])
def test_a_video_turned_without_saying_so_has_its_face_throughout(
    cases: Path, pipeline: Pipeline, quarters: int
) -> None:
    with open_source(cases / "short3.mp4") as source:
        frames = [np.ascontiguousarray(np.rot90(frame.image, -quarters)) for frame in source]
    upright = [result[0].top for result in pipeline.stream(cases / "short3.mp4")]
    turned = [result[0].top for result in pipeline.stream(frames)]
    assert len(turned) == len(upright)
    # Upside down this face scores as high as an upright one: it is found, and read as it stands.
    if quarters != 2:
        assert turned == upright


def test_all_of_them_in_one_command(  # type: ignore[no-untyped-def]
    mien, cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = mien(*(cases / name for name in (*IMAGES, *VIDEOS)), "--out", tmp_path / "rows.csv")
    captured = capsys.readouterr()
    unread = 0 if HAS_HEIC else 3
    assert code == (3 if unread else 0)
    assert captured.err.count('this needs pillow-heif, which is not installed: pip install "mien[heic]"') == unread
    assert "Traceback" not in captured.err
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["success"] == "1"]
    read_well = [name for name in (*IMAGES, *VIDEOS) if HAS_HEIC or not name.endswith(".heic")]
    assert {Path(row["source"]).name for row in rows} == set(read_well)
    assert "no face" not in captured.out


def test_a_folder_of_them(mien, cases: Path, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    code = mien(cases, "--json")
    captured = capsys.readouterr()
    found = {Path(entry["source"]).name: entry for entry in map(json.loads, captured.out.splitlines())}
    assert set(found) == set(IMAGES)
    assert code == (0 if HAS_HEIC else 3)
    assert "5 files skipped: 2 .mp4" in captured.err


def test_a_short_video_and_low_confidence_are_not_no_face(  # type: ignore[no-untyped-def]
    mien, cases: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert mien(cases / "short3.mp4") == 0
    (line,) = capsys.readouterr().out.splitlines()[1:]
    assert line.split("\t")[1] == "1"
    assert mien(cases / "anam.mp4", "--min-confidence", "1") == 0
    verdicts = {line.split("\t")[2] for line in capsys.readouterr().out.splitlines()[1:]}
    assert verdicts == {"not sure"}


def test_an_annotated_video_keeps_the_shape_of_its_pixels(mien, cases: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert mien(cases / "anam.mp4", "--video", tmp_path / "a.mp4", "-q") == 0
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.sample_aspect_ratio) == (480, 360, Fraction(4, 3))


def test_an_annotated_video_of_two_sizes_squeezes_neither(mien, cases: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert mien(cases / "turn2.webm", "--video", tmp_path / "a.mp4", "-q") == 0
    with av.open(str(tmp_path / "a.mp4")) as container:
        last = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][-1]
    assert last.shape[:2] == (360, 202)
    # 640 × 360 within 202 × 360 is 114 rows high, with black above and below.
    assert np.median(last[:80]) < 20
    assert np.median(last[150:210]) > 20
