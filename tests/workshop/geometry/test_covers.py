from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from made_faces import make_faces

from mien.artifact.runtime import Session
from mien.errors import ConfigError
from mien.faces.geometry import COVERABLE, uncovered
from mien.workshop.geometry import covers
from mien.workshop.geometry.student import GeometryNet, build_covers

FILLS = np.full((2, 64, 64), 200, np.uint8)


def test_something_covers_what_the_shares_say() -> None:
    points = np.tile(np.float32([96, 100]), (70, 1))
    points[:17] = np.stack([np.linspace(46, 146, 17), 90 + 60 * np.sin(np.linspace(0, np.pi, 17))], axis=1)
    for places, (x, y) in zip(COVERABLE.values(), ((74, 80), (118, 80), (96, 128)), strict=True):
        turns = np.linspace(np.pi, 3 * np.pi, len(places), endpoint=False)
        points[list(places)] = np.stack([x + 10 * np.cos(turns), y + 5 * np.sin(turns)], axis=1)
    rng = np.random.default_rng(0)
    masks = [covers.draw_cover((192, 192), points, rng) for _ in range(200)]
    hidden = np.array([[mask[int(y) % 192, int(x) % 192] > 0 for x, y in points] for mask in masks])
    for places in COVERABLE.values():
        shares = hidden[:, list(places)].mean(axis=1)
        # Each is covered in some, and left alone in others.
        assert (shares > 0.8).any()
        assert (shares == 0).any()


def test_views_without_covers_have_none_and_are_drawn_the_same_again() -> None:
    torch.manual_seed(0)
    faces, first = make_faces(5), GeometryNet().eval()
    rows = np.arange(5)
    bare, again = (covers.draw_views(first, faces, rows, FILLS, np.random.default_rng(3), share=0.0) for _ in range(2))
    assert bare.squares.shape == (5, 64, 64)
    assert not bare.covered.any()
    np.testing.assert_array_equal(bare.squares, again.squares)
    assert covers.draw_views(first, faces, rows, FILLS, np.random.default_rng(3), share=1.0).covered.any()


def test_the_fit_learns_what_is_covered_and_the_graph_says_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    squares = rng.integers(60, 120, (384, 64, 64)).astype(np.uint8)
    covered = (rng.random((384, 3)) < 0.4).astype(np.float32)
    for place, rows in enumerate((np.s_[:20, :32], np.s_[:20, 32:], np.s_[30:, :])):
        for face in np.flatnonzero(covered[:, place]):
            squares[face][rows] = 230
    views = covers.CoverViews(squares, covered)
    net = covers.fit(views, epochs=8)
    scores = covers.evaluate(net, views)
    assert min(scores.found) > 0.9
    assert max(scores.wrongly) < 0.1
    covers.save_covers(net, tmp_path / "covers.safetensors")
    (tmp_path / "covers.onnx").write_bytes(
        build_covers(covers.load_covers(tmp_path / "covers.safetensors"), squares[:, None])
    )
    graph = Session((tmp_path / "covers.onnx").read_bytes(), threads=1)
    with torch.no_grad():
        expected = torch.sigmoid(net(torch.from_numpy(squares[:16, None]).float())).numpy()
    np.testing.assert_allclose(graph.run({"faces": squares[:16, None]})["covered"], expected, atol=0.1)
    with pytest.raises(ConfigError, match="run the step covers first"):
        covers.load_covers(tmp_path / "other.safetensors")


def test_what_is_covered_is_not_seen() -> None:
    visible = np.ones((1, 70), np.float32)
    lowered = uncovered(visible, np.float32([[0, 0.75, 1]]))
    assert lowered[0, 36] == 1
    assert lowered[0, 44] == pytest.approx(0.25)
    assert lowered[0, 60] == 0
    assert lowered[0, 30] == 1
    assert visible.min() == 1
