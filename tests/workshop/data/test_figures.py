from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from mien.errors import MissingExtraError
from mien.images import pictures as images
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.figures import counts, draw_distribution, draw_samples, save_figure


def test_counts_by_split_and_class(faces: FaceDataset) -> None:
    split = faces.split.copy()
    split[:10] = 2
    labels = faces.labels.copy()
    labels[0] = -1
    table = counts(labels, split, 7)
    assert table.tolist() == [[20, 5, 20, 20, 10, 10, 5], [0] * 7, [9, 0, 0, 0, 0, 0, 0]]


def test_distribution_tells_every_count(faces: FaceDataset) -> None:
    (axes,) = draw_distribution(faces).axes
    assert [text.get_text() for text in axes.texts] == ["30", "5", "20", "20", "10", "10", "5"]
    assert [tick.get_text() for tick in axes.get_xticklabels()][:2] == ["angry", "disgust"]


def test_votes_get_a_panel_of_their_own(faces: FaceDataset) -> None:
    votes = np.zeros((100, 10), np.uint8)
    votes[:40, 7] = 10
    _, axes = draw_distribution(replace(faces, votes=votes)).axes
    assert [text.get_text() for text in axes.texts] == ["0"] * 7 + ["40"]


def test_samples_follow_the_seed(faces: FaceDataset) -> None:
    sheets = [draw_samples(faces, columns=4, seed=seed).axes[0].images[0].get_array() for seed in (0, 0, 1)]
    assert (sheets[0] == sheets[1]).all()
    assert (sheets[0] != sheets[2]).any()


def test_class_without_faces_is_an_empty_row(faces: FaceDataset) -> None:
    figure = draw_samples(faces[faces.labels != 1], columns=3)
    assert len(figure.axes) == 7
    assert figure.axes[1].images[0].get_array().min() == 255
    assert figure.axes[1].get_ylabel() == "disgust\n0"


def test_data_set_without_rows_can_be_drawn(faces: FaceDataset, tmp_path: Path) -> None:
    distribution, samples = draw_distribution(faces[:0]), draw_samples(faces[:0])
    assert {bar.get_height() for bar in distribution.axes[0].patches} <= {0}
    assert [axes.get_ylabel().rpartition("\n")[2] for axes in samples.axes] == ["0"] * 7
    for number, figure in enumerate((distribution, samples)):
        assert images.read(save_figure(figure, tmp_path / f"{number}.png")).size


def test_saved_figure_is_a_picture_and_nothing_else_is_left(faces: FaceDataset, tmp_path: Path) -> None:
    path = save_figure(draw_samples(faces, columns=3), tmp_path / "samples.png")
    assert images.read(path).shape[2] == 3
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_one_sentence(faces: FaceDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r'pip install "mien\[train\]"'):
        draw_distribution(faces)
