from __future__ import annotations

import csv
import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("streamlit", reason='needs pip install "mien[web]"')

from portraits import PORTRAIT

from mien.apps.web import cards
from mien.apps.web.reading import PREVIEW_PX, annotated, read_photo, table, to_csv, to_json, to_png, to_zip
from mien.images.pictures import decode, encode, read, resize
from mien.labels import SEVEN
from mien.reading.pipeline import Pipeline


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(detector="haar")


def test_a_portrait_is_read_and_given_out(pipeline: Pipeline) -> None:
    data = PORTRAIT.read_bytes()
    reading = read_photo(data, "astronaut.jpg", pipeline)
    assert [face.top for face in reading.faces] == ["happy"]
    (row,) = csv.DictReader(io.StringIO(to_csv([reading], SEVEN)))
    assert (row["source"], row["top"], row["success"]) == ("astronaut.jpg", "happy", "1")
    assert float(row["x"]) == pytest.approx(reading.faces[0].box[0], abs=0.1)
    (told,) = json.loads(to_json([reading]))
    assert told["faces"][0]["top"] == "happy"
    assert decode(to_png(data, reading)).shape == (512, 512, 3)
    assert not np.array_equal(decode(annotated(reading)), decode(reading.preview))


def test_a_large_picture_reaches_the_browser_reduced(pipeline: Pipeline) -> None:
    image = resize(read(PORTRAIT), 2600, 2600)
    reading = read_photo(encode(image, "jpeg"), "large.jpg", pipeline)
    assert (reading.width, max(decode(reading.preview).shape)) == (2600, PREVIEW_PX)
    assert max(reading.faces[0].box) > PREVIEW_PX / 4
    assert len(reading.preview) + sum(map(len, reading.crops)) < 1_000_000


def test_a_bad_file_is_told_and_the_others_stand(pipeline: Pipeline) -> None:
    good = read_photo(PORTRAIT.read_bytes(), "good.jpg", pipeline)
    bad = read_photo(b"no picture at all", "bad.txt", pipeline)
    assert "bad.txt" in bad.error
    assert bad.error.endswith(".")
    assert [row["source"] for row in table([bad, good], SEVEN)] == ["good.jpg"]
    assert [("error" in entry) for entry in json.loads(to_json([bad, good]))] == [True, False]
    files = {"good.jpg": PORTRAIT.read_bytes(), "bad.txt": b""}
    with zipfile.ZipFile(io.BytesIO(to_zip(files, [bad, good]))) as archive:
        assert archive.namelist() == ["02-good.png"]


def test_too_many_pixels_are_refused_with_what_to_do() -> None:
    reading = read_photo(PORTRAIT.read_bytes(), "a.jpg", Pipeline(detector="haar", max_pixels=1000))
    assert "reduce it first" in reading.error


def test_a_picture_without_a_face_has_a_row(pipeline: Pipeline) -> None:
    reading = read_photo(encode(np.full((80, 90, 3), 127, np.uint8)), "grey.png", pipeline)
    assert not reading.error
    assert not reading.faces
    assert [row["success"] for row in table([reading], SEVEN)] == [0]
    assert "no face" in cards.describe(reading)


def test_the_threshold_decides_without_reading_anew(pipeline: Pipeline) -> None:
    reading = read_photo(PORTRAIT.read_bytes(), "a.jpg", pipeline)
    assert not reading.judged(0.4).faces[0].abstained
    unsure = reading.judged(1.0)
    assert unsure.faces[0].abstained
    assert "not sure" in cards.face_cards(unsure)
    assert "most likely happy" in cards.face_cards(unsure)


def test_names_of_files_are_only_ever_text(pipeline: Pipeline) -> None:
    name = "<img src=x onerror=alert(1)>.jpg"
    reading = read_photo(PORTRAIT.read_bytes(), name, pipeline)
    assert "onerror" not in cards.face_cards(reading)
    assert "<script>" not in cards.plain_table(["a"], [["<script>"]])
    assert cards.escape_markdown(name).startswith("\\<img")
