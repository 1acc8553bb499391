"""What deepface and fer document of their own interfaces, run with the import changed."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

import mien
from mien.compat import deepface as DeepFace
from mien.compat.fer import FER, InvalidImage
from mien.errors import ConfigError, MienError
from mien.labels import SEVEN

PHOTO = Path(mien.__file__).parent / "apps/web/examples/astronaut.jpg"
NOBODY = np.full((120, 160, 3), 90, np.uint8)


@pytest.fixture(scope="module")
def faces() -> list[dict]:
    return DeepFace.analyze(str(PHOTO), actions=["emotion"])


def test_deepfaces_own_example(faces: list[dict]) -> None:
    (face,) = faces
    assert face.keys() == {"emotion", "dominant_emotion", "region", "face_confidence"}
    assert tuple(face["emotion"]) == SEVEN
    assert sum(face["emotion"].values()) == pytest.approx(100)
    assert face["dominant_emotion"] == max(face["emotion"], key=face["emotion"].get) == "happy"
    assert face["region"].keys() == {"x", "y", "w", "h", "left_eye", "right_eye"}
    assert 0 < face["face_confidence"] <= 1
    json.dumps(faces)


def test_deepface_takes_arrays_as_opencv_has_them_base64_and_files(faces: list[dict]) -> None:
    bgr = cv2.imread(str(PHOTO))
    text = base64.b64encode(PHOTO.read_bytes()).decode()
    with PHOTO.open("rb") as file:
        given = [bgr, f"data:image/jpeg;base64,{text}", file]
        found = DeepFace.analyze(given, actions="emotion", silent=True, align=False)
    assert len(found) == 3
    for (face,) in found:
        assert face["emotion"]["happy"] == pytest.approx(faces[0]["emotion"]["happy"], abs=1)
    batch = DeepFace.analyze(np.stack([bgr, bgr]), actions=("emotion",))
    assert [len(entry) for entry in batch] == [1, 1]


def test_deepface_without_a_face() -> None:
    with pytest.raises(ValueError, match="enforce_detection=False"):
        DeepFace.analyze(NOBODY, actions=["emotion"])
    ((face,),) = DeepFace.analyze([NOBODY], actions=["emotion"], enforce_detection=False)
    assert face["region"] | {"left_eye": 0, "right_eye": 0} == {
        "x": 0, "y": 0, "w": 160, "h": 120, "left_eye": 0, "right_eye": 0,
    }  # fmt: skip
    assert face["face_confidence"] == 0
    (cropped,) = DeepFace.analyze(NOBODY, actions=["emotion"], detector_backend="skip")
    assert cropped["dominant_emotion"] == face["dominant_emotion"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"actions": ["age", "emotion"]}, "only thing that Mien"),
     ({"detector_backend": "eyes"}, "expected one of opencv"),
     ({"anti_spoofing": True}, "does not tell real faces")],
)  # fmt: skip
def test_what_deepface_can_and_mien_cannot_is_refused(options: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DeepFace.analyze(NOBODY, **options)


def test_an_image_that_is_not_there_is_a_value_error_as_in_deepface() -> None:
    with pytest.raises(ValueError, match="no such file") as caught:
        DeepFace.analyze("nobody.jpg")
    assert isinstance(caught.value, MienError)


def test_fers_own_example() -> None:
    img = cv2.imread(str(PHOTO))
    detector = FER()
    (found,) = detector.detect_emotions(img)
    assert found.keys() == {"box", "emotions"}
    assert tuple(found["emotions"]) == SEVEN
    assert all(isinstance(side, int) for side in found["box"])
    emotion, score = detector.top_emotion(img)
    assert (emotion, score) == ("happy", found["emotions"]["happy"])
    assert detector.find_faces(img) == [found["box"]]
    assert detector.detect_emotions(str(PHOTO))[0]["emotions"]["happy"] == pytest.approx(score, abs=0.02)
    (same,) = detector.detect_emotions(img, face_rectangles=[found["box"]])
    assert same["box"] == found["box"]
    assert same["emotions"]["happy"] == pytest.approx(score, abs=0.1)


def test_fer_with_its_options_without_a_face_and_without_an_image() -> None:
    detector = FER(mtcnn=True, min_face_size=40, scale_factor=1.2)
    assert detector.detect_emotions(NOBODY) == []
    assert detector.top_emotion(NOBODY) == (None, None)
    with pytest.raises(InvalidImage, match="no such file"):
        detector.detect_emotions("nobody.jpg")
