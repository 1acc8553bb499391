from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from faces_made_up import draw_faces

from mien.images import pictures as images
from mien.workshop.curation.quality import find_lettering, find_odd_sizes, find_poor, find_small_classes, measure


def kinds(pictures: np.ndarray) -> dict[int, set[str]]:
    out: dict[int, set[str]] = {}
    for found in find_poor(measure(pictures)):
        out.setdefault(found.rows[0], set()).add(found.kind)
    return out


def test_each_poor_picture_is_told_for_what_it_is() -> None:
    faces = draw_faces(60)
    faces[0] = 77
    faces[1] = faces[1] // 6
    faces[2] = 205 + faces[2] // 6
    faces[3] = cv2.GaussianBlur(faces[3], (0, 0), 4)
    found = kinds(faces)
    assert found == {0: {"flat"}, 1: {"dark"}, 2: {"bright"}, 3: {"blur"}}
    assert [f.suggestion for f in find_poor(measure(faces)) if f.kind == "flat"] == ["drop"]


def test_nothing_is_measured_of_nothing() -> None:
    assert find_poor(measure(np.zeros((0, 48, 48), np.uint8))) == []
    assert kinds(np.zeros((2, 48, 48), np.uint8)) == {0: {"flat"}, 1: {"flat"}}
    assert find_lettering(np.zeros((0, 48, 48), np.uint8)) == []
    assert find_lettering(np.zeros((1, 8, 8), np.uint8)) == []


def test_words_across_a_picture_are_found() -> None:
    faces = np.stack([cv2.GaussianBlur(face, (0, 0), 1.2) for face in draw_faces(10)])
    assert find_lettering(faces) == []
    cv2.putText(faces[4], "IMIHIIM", (0, 42), cv2.FONT_HERSHEY_SIMPLEX, 0.36, 255, 1)
    (found,) = find_lettering(faces)
    assert (found.kind, found.rows, found.suggestion) == ("watermark", (4,), "keep")


def test_odd_originals_are_told_with_their_size(tmp_path: Path) -> None:
    sizes = {"usual.png": (60, 50), "tiny.png": (20, 24), "long.jpg": (50, 200)}
    for name, (height, width) in sizes.items():
        images.write(tmp_path / name, np.full((height, width, 3), 90, np.uint8))
    (tmp_path / "odd.png").write_bytes(b"no picture")
    found = find_odd_sizes(tmp_path, [*sizes, "odd.png", "gone.png"])
    assert [f.rows for f in found] == [(1,), (2,)]
    assert "24×20" in found[0].detail
    assert "200×50" in found[1].detail


def test_classes_with_hardly_any_rows_are_told() -> None:
    found = find_small_classes(np.repeat([0, 1, 2, 3, 4, 5, -1], [200, 3, 200, 200, 200, 200, 9]))
    assert sorted(f.detail for f in found) == ["disgust has 3 of 1,003 rows", "neutral has 0 of 1,003 rows"]
    assert all(0 < f.score <= 1 and f.rows == () for f in found)
    assert find_small_classes(np.full(5, -1)) == []


@pytest.mark.parametrize("side", [1, 2, 47])
def test_pictures_of_any_size_are_measured(side: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (3, side, side), dtype=np.uint8)
    assert len(measure(picture).sharpness) == 3
