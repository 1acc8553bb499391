"""Group pictures: small faces in large pictures, by height."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.faces.haar import Haar
from mien.faces.yunet import YuNet
from mien.structures import Detections
from mien.workshop.detection.large_pictures import (
    LargePicture,
    Photograph,
    compose_wholes,
    read_photographs,
)
from mien.workshop.detection.report import count_large

GROUP = (3000, 4000)


class Told:
    """A detector that finds what it is told."""

    name, crops_given = "told", False

    def __init__(self, boxes: np.ndarray) -> None:
        self.boxes = boxes

    def detect(self, image: np.ndarray) -> Detections:
        return Detections.from_boxes(self.boxes, np.ones(len(self.boxes), np.float32))


def test_faces_are_where_the_truth_says_and_as_high_as_meant() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[20:60, 50:80] = 255
    large = compose_wholes([Photograph(picture, np.float32([[50, 20, 80, 60]]))], 20, (200, 300))
    assert large.count == 4 * 3
    for x1, y1, x2, y2 in large.boxes.round().astype(int):
        assert y2 - y1 == 20
        assert large.picture[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].min() == 255


def test_a_photograph_larger_than_the_picture_is_cut() -> None:
    large = compose_wholes([Photograph(np.zeros((90, 90, 3), np.uint8), np.float32([[0, 0, 9, 9]]))], 90, (300, 300))
    assert large.picture.shape == (300, 300, 3)
    assert large.count == 1


def test_the_share_found() -> None:
    boxes = np.float32([[0, 0, 10, 10], [50, 50, 60, 60]])
    large = LargePicture(np.zeros((100, 100, 3), np.uint8), boxes)
    assert large.found_by(Told(boxes[:1])) == 0.5
    assert large.found_by(Told(boxes + 20)) == 0
    assert np.isnan(LargePicture(large.picture, boxes[:0]).found_by(Told(boxes)))


def test_no_rows_without_photographs(tmp_path: Path) -> None:
    assert count_large({"told": Told(np.zeros((0, 4), np.float32))}, tmp_path) == []


@pytest.mark.data
def test_faces_of_sixty_pixels_in_a_group_picture_are_found(shared: Path) -> None:
    large = compose_wholes(read_photographs(shared / "data" / "photos"), 60, GROUP)
    weights = shared / "weights" / "face_detection_yunet_2023mar.onnx"
    assert large.count > 80
    assert large.found_by(YuNet(weights)) >= 0.95
    # Who wants large faces alone does not pay for the others.
    assert large.found_by(YuNet(weights, min_face_px=200)) < 0.5


@pytest.mark.data
def test_haar_looks_for_small_faces_when_it_is_asked(shared: Path) -> None:
    large = compose_wholes(read_photographs(shared / "data" / "photos"), 60, (1080, 1920))
    assert large.found_by(Haar()) < 0.1
    assert large.found_by(Haar(min_face_px=56)) > 0.6
