from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from made_faces import make_faces

from mien.errors import ConfigError
from mien.faces.geometry import SIDE_PX, TOLD
from mien.workshop.geometry import teaching
from mien.workshop.geometry.student import CloseupNet
from mien.workshop.geometry.teaching import TrainingConfig
from mien.workshop.geometry.views import CloseupViewer

MIRROR = np.arange(146)


@pytest.fixture(scope="module")
def viewer() -> CloseupViewer:
    return CloseupViewer(make_faces(12), MIRROR)


def test_views_have_the_networks_shapes_and_can_be_drawn_again(viewer: CloseupViewer) -> None:
    views, again = (viewer.draw(np.arange(5), np.random.default_rng(3)) for _ in range(2))
    assert views.pictures.shape == (5, SIDE_PX, SIDE_PX)
    assert views.points.shape == (5, len(TOLD), 2)
    assert views.mesh.shape == (5, 146, 2)
    for name, value in vars(views).items():
        np.testing.assert_array_equal(value, getattr(again, name))


def test_shown_points_lie_in_the_square(viewer: CloseupViewer) -> None:
    views = viewer.draw(np.arange(12), np.random.default_rng(0))
    shown = views.shown > 0
    assert 0 < shown.mean() < 1
    assert np.all(np.abs(views.mesh[shown]) <= 1)


def test_a_network_of_close_ups_learns(viewer: CloseupViewer, tmp_path: Path) -> None:
    config = TrainingConfig(
        steps=30, batch_size=16, warmup=1, ema=0.5, checkpoint_every=30, shares={"photographs": 1.0}, stage="closeups"
    )
    views = viewer.draw(np.arange(12), np.random.default_rng(9))
    weighing = teaching.Weighing.of({"photographs": viewer})
    before = teaching.closeup_losses(CloseupNet().train(), views, weighing)
    trained = teaching.train(config, {"photographs": viewer}, tmp_path)
    assert isinstance(trained, CloseupNet)
    after = teaching.closeup_losses(trained, views, weighing)
    assert after["points"] < 0.8 * before["points"]
    loaded = teaching.load_mean(tmp_path, "closeups")
    for name, value in trained.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value)


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected face or closeups"):
        teaching.create_network("ears")
