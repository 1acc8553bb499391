from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from toy_faces import make_material

from mien.faces.verification import CLOSE_UP_PX, INPUT_NAME, OUTPUT_NAME, SIDE_PX, Fusion, to_features
from mien.faces.verification import Verifier as ServedVerifier
from mien.structures import Detections
from mien.workshop.detection import verifier as module
from mien.workshop.detection.canvas import Composed
from mien.workshop.detection.compose import Composer, Limits
from mien.workshop.detection.detector_export import build_verifier_graph, load_judgement
from mien.workshop.detection.detector_network import FaceNetwork, Shape
from mien.workshop.detection.verifier import (
    KEPT_PX,
    Candidates,
    Verifier,
    VerifierPlan,
    centre,
    cut_from,
    fit_fusion,
    make_verifier,
    train_verifier,
    vary,
)

RNG = np.random.default_rng(0)


def make_candidates(count: int, share: float = 0.5) -> Candidates:
    """Bright squares are faces, dark ones are none."""
    real = np.arange(count) < share * count
    noise = RNG.integers(0, 90, (count, KEPT_PX, KEPT_PX))
    squares = (noise + 150 * real[:, None, None]).astype(np.uint8)
    return Candidates(
        squares, real, np.full(count, 0.5, np.float32), np.full(count, 32.0, np.float32), np.arange(count)
    )


def judge(verifier: Verifier, fusion: Fusion, candidates: Candidates) -> np.ndarray:
    seen = module.see_candidates(verifier, candidates)
    return np.asarray(to_features(candidates.to_detections(), seen, (640, 640)) @ np.array(fusion))


def test_candidates_are_faces_others_or_left_out() -> None:
    truth = Composed(
        RNG.integers(0, 256, (128, 128), np.uint8),
        np.float32([[10, 10, 50, 60], [80, 80, 120, 120]]),
        np.zeros((2, 5, 2), np.float32),
        np.array([1, -1]),
        np.zeros(2, np.float32),
    )
    # The face, half of it, something elsewhere, something in the doubtful box.
    boxes = [[11, 9, 51, 60], [10, 10, 30, 45], [60, 5, 90, 40], [82, 82, 118, 118]]
    found = Detections.from_boxes(boxes, [0.9, 0.8, 0.7, 0.6])
    kept = cut_from(truth, found, pasted=True)
    assert kept.real.tolist() == [True, False]
    np.testing.assert_allclose(kept.scores, [0.9, 0.7])
    assert kept.squares.shape == (2, KEPT_PX, KEPT_PX)
    assert kept.pasted.all()


def test_varied_squares_are_as_large_as_the_served_ones() -> None:
    squares = make_candidates(6).squares
    assert vary(squares, np.random.default_rng(0)).shape == centre(squares).shape == (6, SIDE_PX, SIDE_PX)


def test_the_verifier_learns_and_the_fusion_lets_through_as_many_as_allowed() -> None:
    verifier = train_verifier(make_candidates(64), VerifierPlan(steps=30, batch=32), lambda _: None)
    scenes, composed = make_candidates(40, share=0.0), make_candidates(40)
    for allowed in (0, 3):
        fusion = fit_fusion(verifier, scenes, composed, allowed=allowed)
        assert (judge(verifier, fusion, scenes) > 0).sum() == allowed
        assert (judge(verifier, fusion, composed)[composed.real] > 0).all()


def test_the_graph_answers_as_the_verifier_does() -> None:
    torch.manual_seed(1)
    network = Verifier().eval()
    squares = RNG.integers(0, 256, (3, SIDE_PX, SIDE_PX), np.uint8)
    with torch.no_grad():
        expected = network(torch.from_numpy(squares)[:, None].float()).numpy()
    served = ServedVerifier(build_verifier_graph(network), (0.0, 0.0, 1.0, 0.0))
    for count in (1, 3):
        np.testing.assert_allclose(
            served._session.run({INPUT_NAME: squares[:count]})[OUTPUT_NAME], expected[:count], atol=5e-3
        )


def test_making_a_verifier_leaves_a_file_that_can_be_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def detect(network: FaceNetwork, picture: np.ndarray, min_score: float) -> Detections:
        boxes = RNG.uniform(0, 60, (12, 4)).astype(np.float32)
        boxes[:, 2:] = boxes[:, :2] + 30
        return Detections.from_boxes(boxes, RNG.uniform(min_score, 1, 12))

    monkeypatch.setattr(module, "detect_with", detect)
    monkeypatch.setattr(module, "gather_composed", lambda *_, **__: make_candidates(24))
    tiny = FaceNetwork(Shape(stem=4, quarter=4, widths=(8, 8, 8), blocks=(0, 0, 0, 0), head=8))
    plan = VerifierPlan(steps=2, batch=8, scene_scales=(0.5,), close_ups=8)
    monkeypatch.setattr(module, "mine", lambda *_: [])
    made = make_verifier(tiny, make_material(), plan, Limits(), tmp_path / "verifier.safetensors", lambda _: None)
    again = load_judgement(tmp_path / "verifier.safetensors")
    assert (again.fusion, again.candidate_score) == (made.fusion, plan.candidate_score)


def test_close_ups_are_small_pictures_that_a_face_fills_or_none() -> None:
    composer = Composer(make_material(), harm=False)
    made = [composer.make_close_up(np.random.default_rng(number)) for number in range(30)]
    faces = [one for one in made if (one.kinds == 1).any()]
    assert 5 < len(faces) < 25
    assert all(max(one.picture.shape) <= CLOSE_UP_PX for one in made)
    for one in faces:
        boxes = one.boxes[one.kinds == 1]
        filled = (boxes[:, 3] - boxes[:, 1]).max() / one.picture.shape[0]
        assert 0.55 < filled < 1.3


def test_what_is_done_to_squares_leaves_their_middle_a_face() -> None:
    # A square whose middle half is bright: no shadow, edge or pair of glasses may hide all of that.
    square = np.zeros((KEPT_PX, KEPT_PX), np.uint8)
    square[KEPT_PX // 4 : -KEPT_PX // 4, KEPT_PX // 4 : -KEPT_PX // 4] = 220
    varied = vary(np.repeat(square[None], 200, axis=0), np.random.default_rng(3)).astype(float)
    quarter = SIDE_PX // 4
    inner, outer = varied[:, quarter:-quarter, quarter:-quarter], varied[:, :4, :4]
    assert (inner.max(axis=(1, 2)) > outer.mean(axis=(1, 2)) + 20).mean() > 0.97
