from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from made_faces import make_faces

from mien.errors import ConfigError, DataError
from mien.faces.geometry import INPUT_PX, Geometry
from mien.workshop.geometry import answers, fusing, teaching
from mien.workshop.geometry.student import GeometryNet, to_rotation
from mien.workshop.geometry.teacher import to_ibug
from mien.workshop.geometry.teaching import TrainingConfig
from mien.workshop.geometry.views import Viewer, cover

SCENES = np.random.default_rng(3).integers(0, 255, (4, 32, 32)).astype(np.uint8)
MIRROR = np.arange(146)


@pytest.fixture(scope="module")
def viewer() -> Viewer:
    return Viewer(make_faces(12), SCENES, MIRROR)


def test_views_have_the_students_shapes(viewer: Viewer) -> None:
    views = viewer.draw(np.arange(5), np.random.default_rng(0))
    assert views.pictures.shape == (5, INPUT_PX, INPUT_PX)
    assert views.pictures.dtype == np.uint8
    assert views.points.shape == (5, 70, 2)
    assert views.mesh.shape == (5, 146, 2)
    np.testing.assert_allclose(np.linalg.det(views.rotations), 1, atol=1e-5)


def test_the_same_generator_draws_the_same_views(viewer: Viewer) -> None:
    first, again = (viewer.draw(np.arange(6), np.random.default_rng(7)) for _ in range(2))
    for name, value in vars(first).items():
        np.testing.assert_array_equal(value, getattr(again, name))


def test_points_go_along_with_the_picture(viewer: Viewer) -> None:
    """However a face is turned, mirrored and shifted, its eyes are the bright spots."""
    views = viewer.draw(np.arange(12).repeat(10), np.random.default_rng(1))
    brighter = []
    for picture, points in zip(views.pictures, views.points, strict=True):
        at = np.round((points[[36, 45, 39, 42]] + 1) * INPUT_PX / 2 - 0.5).astype(int)
        if np.all((at >= 0) & (at < INPUT_PX)):
            brighter.append(np.median(picture[at[:, 1], at[:, 0]]) > np.median(picture))
    assert len(brighter) > 60
    assert np.mean(brighter) > 0.85


def test_points_outside_or_covered_are_not_visible(viewer: Viewer) -> None:
    views = viewer.draw(np.arange(12).repeat(10), np.random.default_rng(2))
    outside = np.any((views.points < -1) | (views.points > 1), axis=2)
    assert outside.any()
    assert not views.visible[outside].any()
    picture, rng = np.full((INPUT_PX, INPUT_PX), 9, np.uint8), np.random.default_rng(0)
    points = np.stack(np.meshgrid(np.arange(INPUT_PX), np.arange(INPUT_PX)), axis=2).reshape(-1, 2).astype(np.float32)
    for _ in range(20):
        picture[:] = 9
        hidden = cover(picture, points, SCENES, rng).reshape(INPUT_PX, INPUT_PX)
        assert np.all(picture[~hidden] == 9)


def test_rotations_of_torch_are_those_of_numpy() -> None:
    from mien.faces.geometry import to_rotations

    columns = np.random.default_rng(0).normal(size=(6, 6)).astype(np.float32)
    np.testing.assert_allclose(to_rotation(torch.from_numpy(columns)).numpy(), to_rotations(columns), atol=1e-5)


CONFIG = TrainingConfig(steps=4, batch_size=4, warmup=1, checkpoint_every=2, shares={"photographs": 1.0})


def test_a_resumed_training_is_the_whole_one(viewer: Viewer, tmp_path: Path) -> None:
    whole = teaching.train(CONFIG, {"photographs": viewer}, tmp_path / "whole")

    class StopError(Exception):
        pass

    class Stopping(Viewer):
        drawn = 0

        def draw(self, rows: np.ndarray, rng: np.random.Generator) -> object:  # type: ignore[override]
            self.drawn += 1
            if self.drawn > 3:
                raise StopError
            return super().draw(rows, rng)

    with pytest.raises(StopError):
        teaching.train(CONFIG, {"photographs": Stopping(viewer.faces, SCENES, MIRROR)}, tmp_path / "parts")
    resumed = teaching.train(CONFIG, {"photographs": viewer}, tmp_path / "parts")
    loaded = teaching.load_mean(tmp_path / "parts")
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(value, resumed.state_dict()[name])
        torch.testing.assert_close(value, loaded.state_dict()[name])


def test_training_learns(viewer: Viewer, tmp_path: Path) -> None:
    config = replace(CONFIG, steps=40, batch_size=16, ema=0.5, checkpoint_every=40)
    views = viewer.draw(np.arange(12), np.random.default_rng(99))
    weighing = teaching.Weighing.of({"photographs": viewer})
    before = teaching.losses(GeometryNet().train(), views, weighing)
    after = teaching.losses(teaching.train(config, {"photographs": viewer}, tmp_path), views, weighing)
    assert after["points"] < 0.7 * before["points"]


def test_kept_weights_are_those_to_begin_with(viewer: Viewer, tmp_path: Path) -> None:
    from mien.workshop.geometry.student import save_weights

    net = GeometryNet()
    save_weights(net, tmp_path / "kept.safetensors")
    assert (tmp_path / "kept.safetensors").stat().st_size < 1.6e6
    config = replace(CONFIG, steps=0, weights=str(tmp_path / "kept.safetensors"))
    begun = teaching.train(config, {"photographs": viewer}, tmp_path / "run").state_dict()
    for name, value in net.state_dict().items():
        if not name.startswith("mesh."):
            torch.testing.assert_close(begun[name], value, atol=1e-3, rtol=1e-2)
    with pytest.raises(ConfigError, match="is missing"):
        teaching.train(replace(config, weights="nowhere"), {"photographs": viewer}, tmp_path / "other")


def test_unknown_keys_and_missing_runs_are_named(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text("stepz = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="unknown key 'stepz'"):
        teaching.read_config(file)
    with pytest.raises(ConfigError, match="train first"):
        teaching.load_mean(tmp_path)
    for damaged in (b"steps = 3", b"PK\x03\x04cut"):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match="no answers of a teacher"):
            answers.load_faces(file)


def test_the_study_can_be_read() -> None:
    config = teaching.read_config(Path(__file__).parents[3] / "studies" / "geometry.toml")
    assert set(config.shares) == {"photographs", "crops"}


def test_faces_are_kept(tmp_path: Path) -> None:
    faces = make_faces(3)
    answers.save_faces(faces, tmp_path / "folder" / "faces.npz")
    loaded = answers.load_faces(tmp_path / "folder" / "faces.npz")
    for name, value in vars(faces).items():
        np.testing.assert_array_equal(value, getattr(loaded, name))


def test_who_says_what_the_teacher_says_has_no_error() -> None:
    faces = make_faces(20)
    read = Geometry(
        to_ibug(faces.meshes)[:, :, :2], (faces.facing > -0.12).astype(np.float32), faces.rotations, faces.blendshapes
    )
    scores = fusing.compare(read, faces, size_px=48)
    assert scores.nme["all"] == pytest.approx(0, abs=1e-4)
    assert scores.pose_deg["mean"] == pytest.approx(0, abs=1e-3)
    assert scores.mean_correlation == pytest.approx(1)
    assert scores.hidden == (1.0, 0.0)
    assert "held-out" in fusing.to_markdown({"held-out": [scores]})


def test_no_face_is_read_larger_than_it_is_kept() -> None:
    assert fusing.sizes_of(make_faces(1, side=128)) == [24, 48]
    assert fusing.sizes_of(make_faces(1, side=192)) == [24, 48, 96]


def test_errors_are_in_distances_of_the_eyes_and_degrees() -> None:
    faces = make_faces(20)
    truth = to_ibug(faces.meshes)[:, :, :2]
    eyes = np.linalg.norm(truth[:, 45] - truth[:, 36], axis=1)
    moved = truth + (0.1 * eyes)[:, None, None] * np.float32([1, 0])
    turned = np.stack([rotation @ training_turn() for rotation in faces.rotations])
    scores = fusing.compare(
        Geometry(moved, np.ones((20, 70), np.float32), turned, 1 - faces.blendshapes), faces, size_px=48
    )
    assert scores.nme["all"] == pytest.approx(10, abs=1e-3)
    assert scores.nme["irises"] == pytest.approx(10, abs=1e-3)
    assert scores.pose_deg["roll"] == pytest.approx(5, abs=0.01)
    assert scores.mean_correlation == pytest.approx(-1)


def training_turn() -> np.ndarray:
    from mien.faces.geometry import from_angles

    return from_angles((0, 0, 5))
