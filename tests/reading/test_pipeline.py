from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from fakes import FakeDetector

from mien.errors import ConfigError, ImageTooLargeError, SourceError
from mien.images.pictures import encode, write
from mien.labels import EIGHT, SEVEN, project
from mien.reading.classifier import Model, load_model
from mien.reading.pipeline import Pipeline, analyze
from mien.structures import Frame

PICTURE = np.random.default_rng(5).integers(0, 256, (120, 160, 3), np.uint8)


@pytest.fixture(scope="module")
def model(toy_artifact: Path) -> Model:
    return load_model(toy_artifact)


def huge_png(width: int, height: int) -> bytes:
    """A PNG that promises that many pixels and holds none."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + b"\0" * 100


def test_a_face_has_a_box_an_expression_and_its_origin(model: Model) -> None:
    pipeline = Pipeline(model, detector=FakeDetector((10, 20, 60, 80), landmarks=True))
    (face,) = pipeline.analyze(PICTURE)
    assert face.box == (10, 20, 60, 80)
    assert tuple(face.probabilities) == SEVEN
    assert sum(face.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert face.confidence == face.probabilities[face.top]
    assert (face.model, face.detector, face.detection_score) == ("toy 1.0", "fake", 1.0)
    assert len(face.landmarks) == 5
    assert not face.abstained


@pytest.mark.parametrize(("name", "labels"), [("seven", SEVEN), ("eight", EIGHT)])
def test_the_crowd_head_speaks_in_the_users_labels(model: Model, name: str, labels: tuple[str, ...]) -> None:
    crop = PICTURE[:100, :100]
    (face,) = Pipeline(model, detector="none", labels=name).analyze(crop)
    expected = project(model.predict([crop]), model.heads["crowd"], labels)[0]
    assert tuple(face.probabilities) == labels
    np.testing.assert_allclose(list(face.probabilities.values()), expected, atol=1e-6)


def test_another_head_speaks_when_asked(model: Model) -> None:
    crop = PICTURE[:100, :100]
    (other,) = Pipeline(model, detector="none", head="fer2013").analyze(crop)
    np.testing.assert_allclose(list(other.probabilities.values()), model.predict([crop], "fer2013")[0], atol=1e-6)


def test_flipping_is_said_in_the_results(model: Model, toy_artifact: Path) -> None:
    detector = FakeDetector((10, 20, 60, 80))
    (alone,) = Pipeline(model, detector=detector).analyze(PICTURE)
    (both,) = Pipeline(model, detector=detector, flip=True).analyze(PICTURE)
    assert (alone.model, both.model) == ("toy 1.0", "toy 1.0 +flip")
    assert alone.probabilities != both.probabilities
    assert Pipeline(model.reading(flip=True), detector=detector).analyze(PICTURE).faces == [both]
    assert Pipeline(model.reading(flip=True), detector=detector, flip=False).analyze(PICTURE).faces == [alone]
    assert analyze(PICTURE, model=toy_artifact, detector=detector, flip=True).faces == [both]


def test_balance_is_said_in_the_results() -> None:
    """The bundled model knows how frequent its classes were, and has a rule for what users are shown."""
    crop = PICTURE[:100, :100]
    model = load_model()
    (plain,) = analyze(crop, detector="none", labels="eight", balance=0)
    (shown,) = analyze(crop, detector="none", labels="eight")
    (even,) = analyze(crop, detector="none", labels="eight", balance=1.0)
    assert (plain.model, shown.model, even.model) == (
        model.title, f"{model.title} +balance{model.manifest.reading.balance:g}", f"{model.title} +balance1",
    )  # fmt: skip
    for label in ("contempt", "disgust"):
        assert even.probabilities[label] > shown.probabilities[label] > plain.probabilities[label]
    assert Pipeline(model, detector="none", labels="eight").analyze(crop).faces == [shown]
    assert Pipeline(load_model(balance=0), detector="none", labels="eight").analyze(crop).faces == [plain]
    (other,) = Pipeline(model, detector="none", head="fer2013").analyze(crop)
    assert other.model == model.title


def test_no_face_is_no_error(model: Model) -> None:
    pipeline = Pipeline(model, detector=FakeDetector())
    assert pipeline.analyze(PICTURE).faces == []
    (result,) = pipeline.run([PICTURE])
    assert (result.faces, result.error) == ([], None)


def test_forty_faces(model: Model) -> None:
    boxes = [(x, y, x + 12, y + 15) for y in range(0, 100, 20) for x in range(0, 128, 16)]
    faces = Pipeline(model, detector=FakeDetector(*boxes)).analyze(PICTURE)
    assert [face.box for face in faces] == boxes
    assert [face.index for face in faces] == list(range(40))


def test_a_face_at_the_edge_is_clipped_for_the_user(model: Model) -> None:
    (face,) = Pipeline(model, detector=FakeDetector((-20, 90, 40, 150))).analyze(PICTURE)
    assert face.box == (0, 90, 40, 120)


def test_many_pictures_give_what_each_gives_alone(model: Model) -> None:
    pictures = [np.roll(PICTURE, 7 * shift, axis=1) for shift in range(40)]
    pipeline = Pipeline(model, detector=FakeDetector((10, 20, 60, 80), (60, 20, 110, 80)))
    for picture, result in zip(pictures, pipeline.run(pictures), strict=True):
        for ours, alone in zip(result.faces, pipeline.analyze(picture), strict=True):
            assert ours.box == alone.box
            assert ours.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_neighbouring_pictures_share_a_batch(model: Model) -> None:
    class Counting(Model):
        batches: list[int]

        def run(self, faces):  # type: ignore[no-untyped-def]
            self.batches.append(len(faces))
            return super().run(faces)

    counting = object.__new__(Counting)
    counting.__dict__.update(model.__dict__, batches=[])
    list(Pipeline(counting, detector=FakeDetector((10, 20, 60, 80))).run([PICTURE] * 20))
    assert counting.batches == [16, 4]


def test_large_pictures_do_not_gather(model: Model) -> None:
    large = np.zeros((3000, 3000, 3), np.uint8)
    results = Pipeline(model, detector=FakeDetector((0, 0, 100, 100))).run([large, large, PICTURE, "no-such.png"])
    # Two of nine megapixels are enough for a batch: the first result comes before the last source is opened.
    assert next(results).error is None
    assert [result.error is None for result in results] == [True, True, False]


def test_a_bad_one_among_a_thousand_good_ones(model: Model, tmp_path: Path) -> None:
    small = PICTURE[:24, :24]
    good = [write(tmp_path / f"{i:04}.bmp", small) for i in range(1000)]
    sources = [*good[:500], tmp_path / "missing.bmp", *good[500:]]
    results = list(Pipeline(model, detector="none").run(sources))
    assert len(results) == 1001
    assert [result.source for result in results] == [str(path) for path in sources]
    failed = [result for result in results if result.error]
    assert [result.source for result in failed] == [str(tmp_path / "missing.bmp")]
    assert "no such file" in str(failed[0].error)
    assert failed[0].frame is None
    assert all(len(result.faces) == 1 for result in results if not result.error)


BAD = {
    "text.jpg": b"this is a text, not a picture",
    "cut.png": encode(PICTURE)[:2000],
    "cut.jpg": encode(PICTURE, "jpeg")[:2000],
    "empty.jpg": b"",
    "huge.png": huge_png(50_000, 50_000),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_told_and_the_next_one_read(model: Model, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BAD[name])
    pipeline = Pipeline(model, detector="none")
    bad, good = pipeline.run([tmp_path / name, PICTURE])
    assert isinstance(bad.error, SourceError)
    assert name in str(bad.error)
    assert len(good.faces) == 1
    with pytest.raises(SourceError):
        pipeline.analyze(tmp_path / name)


def test_the_size_limit_is_an_option(model: Model, tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", PICTURE)
    (result,) = Pipeline(model, detector="none", max_pixels=1000).run(path)
    assert isinstance(result.error, ImageTooLargeError)
    (result,) = Pipeline(model, detector="none", max_pixels=120 * 160).run(path)
    assert result.error is None


def test_under_the_threshold_a_face_abstains(model: Model) -> None:
    (face,) = Pipeline(model, detector="none", min_confidence=1.0).analyze(PICTURE)
    assert face.abstained


@pytest.mark.parametrize(
    "options",
    [
        {"labels": "nine"},
        {"head": "mood"},
        {"detector": "mtcnn"},
        {"min_confidence": 1.5},
        {"min_confidence": -0.1},
        {"min_confidence": float("nan")},
        {"max_pixels": 0},
        {"model": "no-such-model"},
    ],
)
def test_options_that_cannot_be_used(model: Model, options: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        Pipeline(**{"model": model, "detector": "none", **options})  # type: ignore[arg-type]


def test_analyze_takes_paths_bytes_arrays(toy_artifact: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", PICTURE)
    by_source = [
        analyze(source, model=toy_artifact, detector="none").faces
        for source in (path, str(path), path.read_bytes(), PICTURE)
    ]
    assert by_source[0] == by_source[1] == by_source[2] == by_source[3]
    with pytest.raises(SourceError, match="this is a folder"):
        analyze(tmp_path, model=toy_artifact, detector="none")


def test_a_decoded_frame(model: Model) -> None:
    assert len(Pipeline(model, detector="none").analyze_frame(Frame(PICTURE))) == 1


@pytest.mark.data
def test_every_face_of_the_photographs_is_found_and_nothing_else(model: Model, shared: Path) -> None:
    photos = shared / "data" / "photos"
    truth = json.loads((photos / "truth.json").read_text("utf-8"))["images"]
    expected = {name: len(entry["faces"]) for name, entry in truth.items() if "faces" in entry}
    pipeline = Pipeline(model)
    found = {name: pipeline.analyze(photos / name) for name in expected}
    assert {name: len(faces) for name, faces in found.items()} == expected
    assert all(face.detector == "mien" and len(face.landmarks) == 5 for faces in found.values() for face in faces)
