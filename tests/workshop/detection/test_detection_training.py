from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_faces import BOX, make_material, seen

from mien.errors import ConfigError
from mien.faces.mien_detector import MienDetector
from mien.faces.mien_detector import make_points as make_points_served
from mien.structures import Detections
from mien.workshop.detection.compose import Composer, Kinds
from mien.workshop.detection.detector_export import export, load_network
from mien.workshop.detection.detector_network import FaceNetwork, Shape, make_points
from mien.workshop.detection.teacher_labels import Material
from mien.workshop.detection.train_detector import read_settings
from mien.workshop.detection.training import Plan, train
from mien.workshop.detection.verifier import Judgement, Verifier

TINY = Shape(stem=4, quarter=4, widths=(8, 8, 8), blocks=(0, 0, 0, 0), head=8)


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.workshop.detection import training

    monkeypatch.setattr(training, "make_validation", lambda _: [])
    monkeypatch.setattr(training, "validate", lambda *_: {})
    told: list[str] = []
    for steps in (2, 4):
        plan = Plan(steps=steps, warmup_steps=1, decay_steps=1, batch=2, side=96, validate_steps=1, save_steps=1)
        train(make_material(), tmp_path, shape=TINY, plan=plan, workers=0, told=told.append)
    with (tmp_path / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    assert load_network(tmp_path / "weights.safetensors").shape == TINY


def test_mistakes_are_gathered_and_shown_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.workshop.detection import training

    box = np.float32([40, 40, 80, 90])
    composer = Composer(make_material(), kinds=Kinds(crowd=0, grid=0, photograph=0, scene=1, mosaic=0))

    def detect(network: FaceNetwork, picture: np.ndarray, min_score: float) -> Detections:
        whole = picture.shape[0] >= 150
        return Detections.from_boxes([box], [0.9]) if whole else Detections.empty()

    monkeypatch.setattr(training, "detect_with", detect)
    composer.hard = training.mine(FaceNetwork(TINY), composer)
    assert len(composer.hard) == len(composer.scenes)
    for number, place in composer.hard:
        assert 0 <= number < len(composer.scenes)
        # Scenes are 200 × 160, and were looked at as 192 × 160.
        np.testing.assert_allclose(place, box * np.float32([200 / 192, 1, 200 / 192, 1]), rtol=1e-5)
    for seed in range(10):
        assert (composer.make(np.random.default_rng(seed), 96).kinds != 1).all()


def test_a_face_that_the_teacher_sees_is_no_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.workshop.detection import training

    material = make_material(scenes=101)
    scene = Material(material.faces, material.faces_seen, material.scenes, [seen()] * 101, [], [])
    monkeypatch.setattr(training, "detect_with", lambda *_: Detections.from_boxes([BOX], [0.9]))
    assert training.mine(FaceNetwork(TINY), Composer(scene), scales=(1.0,)) == []


def test_the_exported_detector_answers_as_the_network_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = FaceNetwork(TINY).eval()
    judgement = Judgement(Verifier(), (0.0, 1.0, 0.5, 0.1), 0.2)
    folder = export(network, judgement, tmp_path / "detector", version="1.2.3", min_score=0.4)
    detector = MienDetector(folder)
    assert (detector.manifest.version, detector.manifest.fusion) == ("1.2.3", judgement.fusion)
    assert "YuNet" in (folder / "card.md").read_text("utf-8")
    for height, width in ((64, 96), (160, 32)):
        picture = np.random.default_rng(0).integers(0, 256, (1, height, width), np.uint8)
        with torch.no_grad():
            expected = network(torch.from_numpy(picture)[:, None].float()).numpy()
        np.testing.assert_allclose(detector._session.run({"image": picture})["faces"], expected, atol=2e-3)


def test_both_sides_agree_on_the_points() -> None:
    for served, trained in zip(make_points_served(96, 64), make_points(96, 64), strict=True):
        np.testing.assert_array_equal(served.squeeze(), trained.numpy())


def test_the_learning_rate_rises_holds_and_falls() -> None:
    plan = Plan(steps=100, warmup_steps=10, decay_steps=20, learning_rate=1.0)
    assert plan.rate_at(0) == pytest.approx(0.1)
    assert plan.rate_at(50) == 1.0
    assert plan.rate_at(90) == pytest.approx(0.5)
    assert plan.rate_at(100) == pytest.approx(0.01)


def test_the_study_is_read_and_an_unknown_key_is_named(tmp_path: Path) -> None:
    study = Path(__file__).parents[3] / "studies" / "detector.toml"
    assert read_settings(study).network == Shape()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[training]\nstep = 3\n")
    with pytest.raises(ConfigError, match="unknown key step"):
        read_settings(wrong)
