"""Photos from a folder or a table to scores: which face is read, and what becomes of photos without one."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from mien.artifact.input import InputSpec
from mien.errors import DataError
from mien.faces.detectors import WholePicture
from mien.images import pictures as images
from mien.labels import HEADS, SEVEN
from mien.structures import Detections
from mien.workshop.data.image_folder import find_photos, has_table
from mien.workshop.evaluation.evaluate import evaluate, find_faces, with_photos
from mien.workshop.evaluation.scores import ModelIdentity, PhotoFaces

SPEC = InputSpec(height=8, width=8, crop_scale=1.0)


class Bright:
    """Finds a face of 10 px at each bright spot of 4 px, in the order of their columns, twice as large when white."""

    name = "bright"
    crops_given = False

    def detect(self, image: np.ndarray) -> Detections:
        grey = images.to_grey(image)
        boxes, marks = [], []
        for left in range(0, grey.shape[1] - 3, 4):
            level = int(grey[4:8, left : left + 4].mean())
            if level < 200:
                continue
            half = 10 if level > 250 else 5
            boxes.append([left + 2 - half, 6 - half, left + 2 + half, 6 + half])
            marks.append([[left, 4], [left + 4, 4], [left + 3, 6], [left, 8], [left + 4, 8]])
        if not boxes:
            return Detections.empty()
        scores = np.linspace(0.9, 0.8, len(boxes), dtype=np.float32)
        return Detections(np.float32(boxes), scores, np.float32(marks))


def _photo(path: Path, spots: dict[int, int], background: int = 40) -> None:
    """A photo with bright spots at some columns."""
    picture = np.full((12, 48, 3), background, np.uint8)
    for left, level in spots.items():
        picture[4:8, left : left + 4] = level
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write(path, picture)


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Five photos by class: one face, two faces of which the second is larger, none, one, none."""
    root = tmp_path / "web"
    _photo(root / "happy" / "one.png", {8: 220})
    _photo(root / "happy" / "two.png", {8: 220, 32: 255})
    _photo(root / "happy" / "zero.png", {})
    _photo(root / "Sadness" / "one.png", {20: 220})
    _photo(root / "3" / "none.png", {}, background=90)
    return root


def _table(root: Path, lines: list[str], header: str = "image,emotion") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "labels.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return root


def _always_happy(crops: np.ndarray, head: str) -> np.ndarray:
    row = [0.65 if name == "happy" else 0.35 / (len(HEADS[head]) - 1) for name in HEADS[head]]
    return np.tile(np.float32(row), (len(crops), 1))


def _find(path: Path) -> PhotoFaces:
    return find_faces(find_photos(path), Bright(), SPEC)


def test_the_largest_face_of_each_photo_is_read_and_the_missed_are_kept(folder):
    faces = _find(folder)
    assert faces.dataset.ids.tolist() == ["Sadness/one.png", "happy/one.png", "happy/two.png"]
    assert [SEVEN[label] for label in faces.dataset.labels] == ["sad", "happy", "happy"]
    assert faces.count.tolist() == [1, 1, 2]
    assert faces.height_px.tolist() == [10, 10, 20]
    assert faces.missed_ids.tolist() == ["3/none.png", "happy/zero.png"]
    assert [SEVEN[label] for label in faces.missed] == ["happy", "happy"]
    assert faces.dataset.images.shape == (3, 8, 8)
    assert faces.photos == 5
    assert "read as FER2013's" in faces.notes[0]
    assert "finds a face in 3 of 5 photos" in faces.notes[1]
    assert "1 of them" in faces.notes[2]
    assert faces.conditions["size"].tolist() == [10, 10, 20]
    assert faces.conditions["yaw"] == pytest.approx([0.25] * 3)
    assert set(faces.conditions) == {"size", "yaw", "roll"}


def test_scores_come_two_ways(folder):
    faces = _find(folder)
    evaluation = evaluate(_always_happy, faces.dataset, model=ModelIdentity("m"))
    whole = with_photos(evaluation, faces)
    assert evaluation.photos is None
    assert whole.photos is not None
    assert [scores.key for scores in whole.photos.scores] == ["fer2013-test", "crowd-on-labels-test"]
    for scores in whole.photos.scores:
        assert (scores.found, scores.photos) == (3, 5)
        assert scores.accuracy_found == pytest.approx(2 / 3)
        assert scores.accuracy_all == pytest.approx(2 / 5)
        low, high = scores.accuracy_all_interval
        assert low <= 2 / 5 <= high
        assert scores.mean_recall_found == pytest.approx((1 + 0) / 2)
        assert scores.mean_recall_all == pytest.approx((2 / 4 + 0) / 2)
        assert scores.recall_all[SEVEN.index("happy")] == 0.5
        assert np.isnan(scores.recall_all[SEVEN.index("fear")])
    assert whole.notes[:3] == faces.notes


def test_a_class_left_out_is_left_out_of_the_missed_as_well(folder):
    faces = _find(folder)
    evaluation = evaluate(_always_happy, faces.dataset, model=ModelIdentity("m"), without=("happy",))
    found = with_photos(evaluation, faces).photos
    assert found is not None
    assert [(scores.found, scores.photos, scores.accuracy_all) for scores in found.scores] == [(1, 1, 0), (1, 1, 0)]


def test_a_class_whose_faces_are_all_missed_has_recall_0(folder):
    _photo(folder / "fear" / "none.png", {})
    found = with_photos(evaluate(_always_happy, _find(folder).dataset, model=ModelIdentity("m")), _find(folder)).photos
    assert found is not None
    assert found.scores[0].recall_all[SEVEN.index("fear")] == 0
    assert found.scores[0].mean_recall_all == pytest.approx((2 / 4 + 0 + 0) / 3)


def test_colour_networks_get_colour_crops(folder):
    faces = find_faces(find_photos(folder), Bright(), InputSpec(height=8, width=8, channels=3, crop_scale=1.0))
    assert faces.dataset.images.shape == (3, 8, 8, 3)


def test_photos_can_be_taken_whole(folder):
    faces = find_faces(find_photos(folder), WholePicture(), SPEC)
    assert len(faces.dataset) == 5
    assert np.isnan(faces.conditions["yaw"]).all()
    assert faces.notes[1:] == ("Each of the 5 photos is taken whole, as one face.",)


@pytest.mark.parametrize("place", ["beside", "in images", "in the archive", "at the archive's root"])
def test_a_table_names_photos_wherever_they_are(tmp_path, place):
    root = _table(tmp_path / "web", ["a.png,Happiness", "b.png,3", "c.png,contempt"])
    target = {"beside": root, "in images": root / "images"}.get(place, tmp_path / "packed")
    _photo(target / "a.png", {8: 220})
    _photo(target / "b.png", {})
    if target.name == "packed":
        inside = "images/" if place == "in the archive" else ""
        with zipfile.ZipFile(root / "images.zip", "w") as archive:
            for name in ("a.png", "b.png"):
                archive.write(target / name, inside + name)
    assert has_table(root)
    photos = find_photos(root)
    assert photos.ids == ("a.png", "b.png")
    assert [SEVEN[label] for label in photos.labels] == ["happy", "happy"]
    assert photos.notes[1:] == ("Photos labelled contempt, which is not one of the seven classes, left out: 1.",)
    faces = _find(root)
    assert faces.dataset.ids.tolist() == ["a.png"]
    assert faces.missed_ids.tolist() == ["b.png"]


def test_columns_may_have_other_names_and_places(tmp_path):
    root = _table(tmp_path / "web", ["7,sad,a.png", "", "8,fear,b.png"], "Number,Label,Filename")
    for name in ("a", "b"):
        _photo(root / f"{name}.png", {8: 220})
    assert [SEVEN[label] for label in find_photos(root).labels] == ["sad", "fear"]


def test_photos_of_train_are_not_looked_at(tmp_path):
    root = tmp_path / "split"
    for part in ("train", "validation", "test"):
        _photo(root / part / "happy" / "a.png", {8: 220})
    photos = find_photos(root)
    assert photos.ids == ("test/happy/a.png", "validation/happy/a.png")
    assert photos.split.tolist() == [2, 1]
    assert photos.notes == ("Photos of train, which are not used: 1.",)
    only_train = tmp_path / "only"
    _photo(only_train / "train" / "happy" / "a.png", {8: 220})
    with pytest.raises(DataError, match="no photo outside of train"):
        find_photos(only_train)


@pytest.mark.parametrize(
    ("lines", "header", "message"),
    [
        (
            ["a.png,boredom", "a2.png,happy"],
            "image,emotion",
            r"1 unknown labels.*\n.*line 2: 'boredom'|line 2: 'boredom'",
        ),
        (["gone.png,happy"], "image,emotion", "gone.png"),
        (["../a.png,happy"], "image,emotion", "neither in"),
        (["/etc/hosts,happy"], "image,emotion", "neither in"),
        ([",happy"], "image,emotion", "no name"),
        (["a.png,happy", "a.png,sad"], "image,emotion", "2 lines that name a file which another line names"),
        (["a.png"], "image,emotion", "1 rows that end early"),
        (["a.png,happy"], "picture_of,mood", "line 1: expected a column image or file"),
        ([], "image,emotion", "no photo with one of the labels"),
        ([], "", "found nothing"),
    ],
)
def test_a_table_that_is_wrong_says_where(tmp_path, lines, header, message):
    root = _table(tmp_path / "web", lines, header)
    _photo(root / "a.png", {8: 220})
    _photo(tmp_path / "a.png", {8: 220})
    with pytest.raises(DataError, match=message):
        find_photos(root)


def test_many_mistakes_are_counted_and_five_are_named(tmp_path):
    root = _table(tmp_path / "web", [f"{number}.png,happy" for number in range(9)])
    with pytest.raises(DataError, match=r"9 files that are neither") as caught:
        find_photos(root)
    assert "4.png\nand 4 more" in str(caught.value)


def test_photos_that_cannot_be_read_are_named(folder):
    (folder / "happy" / "broken.png").write_bytes((folder / "happy" / "one.png").read_bytes()[:60])
    (folder / "happy" / "empty.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="2 of 7 photos cannot be read") as caught:
        _find(folder)
    assert "broken.png" in str(caught.value)
    assert "empty.jpg" in str(caught.value)


def test_an_archive_that_is_none_or_is_damaged_says_so(tmp_path):
    root = _table(tmp_path / "web", ["a.png,happy"])
    (root / "images.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="cannot be read as a zip"):
        find_photos(root)
    _photo(tmp_path / "a.png", {8: 220})
    with zipfile.ZipFile(root / "images.zip", "w") as archive:
        archive.write(tmp_path / "a.png", "a.png")
    data = bytearray((root / "images.zip").read_bytes())
    data[60] ^= 255
    (root / "images.zip").write_bytes(bytes(data))
    with pytest.raises(DataError, match=r"1 of 1 photos cannot be read:\na.png"):
        _find(root)


def test_no_face_anywhere_and_no_photo_at_all_are_errors(tmp_path):
    _photo(tmp_path / "web" / "happy" / "dark.png", {})
    with pytest.raises(DataError, match="bright finds no face in any of the 1 photos"):
        _find(tmp_path / "web")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(DataError, match="no photos in it"):
        find_photos(tmp_path / "nothing")
    with pytest.raises(DataError, match="expected a folder of photos"):
        find_photos(tmp_path / "gone")


def test_the_same_photos_have_the_same_hash_and_others_another(folder):
    first = _find(folder).dataset.sha256
    assert _find(folder).dataset.sha256 == first
    assert find_faces(find_photos(folder), WholePicture(), SPEC).dataset.sha256 != first
    _photo(folder / "3" / "none.png", {8: 220})
    assert _find(folder).dataset.sha256 != first


def test_progress_is_heard_photo_by_photo(folder):
    heard: list[tuple[int, int]] = []
    find_faces(find_photos(folder), Bright(), SPEC, on_progress=lambda *at: heard.append(at))
    assert heard == [(number, 5) for number in range(1, 6)]


def test_numbers_of_a_table_are_told_mapped_and_refused(tmp_path: Path) -> None:
    for number in range(3):
        _photo(tmp_path / "faces" / f"{number}.png", {8: 220})
    table = tmp_path / "faces" / "labels.csv"
    table.write_text("image,label\n0.png,0\n1.png,1\n2.png,6\n")
    plain = find_photos(tmp_path / "faces")
    assert [SEVEN[label] for label in plain.labels] == ["angry", "disgust", "neutral"]
    assert plain.coding == "FER2013"
    assert plain.notes[0].startswith("The labels' numbers are read as FER2013's: 0 angry")
    mapped = find_photos(tmp_path / "faces", {"0": "neutral", "1": "happy", "6": "angry"})
    assert [SEVEN[label] for label in mapped.labels] == ["neutral", "happy", "angry"]
    table.write_text("image,label\n0.png,0\n1.png,9\n")
    with pytest.raises(DataError, match="the labels 0, 9 follow no known numbers"):
        find_photos(tmp_path / "faces")
