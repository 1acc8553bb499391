from __future__ import annotations

import numpy as np
import torch

from mien.workshop.detection.detector_network import (
    CANDIDATES,
    OUTPUTS,
    Truth,
    Weights,
    assign,
    complete_iou,
    decode,
    loss_of,
    make_points,
    prepare,
)

SIDE = 128


def truth_of(boxes: list[list[float]], kinds: list[int]) -> Truth:
    centres, strides = (part.numpy() for part in make_points(SIDE, SIDE))
    array = np.float32(boxes)
    candidates, doubtful = prepare(array, np.array(kinds), centres, strides)
    return Truth(
        torch.from_numpy(array)[None],
        torch.full((1, len(boxes), 5, 2), 10.0),
        torch.from_numpy(candidates)[None],
        torch.from_numpy(doubtful)[None],
    )


def perfect(boxes: list[list[float]]) -> torch.Tensor:
    """Outputs that name for each point the face nearest to it."""
    centres, strides = make_points(SIDE, SIDE)
    out = torch.zeros(1, len(centres), OUTPUTS)
    out[..., 0] = -8
    faces = torch.tensor(boxes)
    middles = (faces[:, :2] + faces[:, 2:]) / 2
    nearest = torch.cdist(centres, middles).argmin(dim=1)
    out[0, :, 1:3] = (middles[nearest] - centres) / strides[:, None]
    out[0, :, 3:5] = torch.log((faces[:, 2:] - faces[:, :2])[nearest] / strides[:, None])
    out[0, :, 5:] = ((10.0 - centres) / strides[:, None]).repeat(1, 5)
    return out


def test_decode_undoes_what_a_perfect_network_says() -> None:
    boxes = [[20.0, 24.0, 60.0, 70.0]]
    found, landmarks = decode(perfect(boxes), *make_points(SIDE, SIDE))
    torch.testing.assert_close(found, torch.tensor(boxes)[None].expand_as(found), atol=1e-3, rtol=0)
    torch.testing.assert_close(landmarks, torch.full_like(landmarks, 10.0), atol=1e-3, rtol=0)


def test_every_face_gets_points_of_a_stride_that_suits_its_size() -> None:
    boxes = [[3.0, 3.0, 11.0, 13.0], [30.0, 30.0, 110.0, 120.0], [100.0, 4.0, 116.0, 24.0]]
    centres, strides = make_points(SIDE, SIDE)
    found, _ = decode(perfect(boxes), centres, strides)
    torch.manual_seed(0)
    owner, target = assign(torch.rand(1, len(centres)) + 0.1, found, truth_of(boxes, [1, 1, 1]))
    for number, stride in enumerate((8, 16, 8)):
        mine = (owner[0] == number) & (target[0] > 0)
        assert 1 <= mine.sum() <= 6
        assert target[0][mine].max() == 1
        assert stride in strides[mine].tolist()


def test_doubtful_places_are_not_taught() -> None:
    truth = truth_of([[20.0, 20.0, 60.0, 60.0]], [-1])
    points = make_points(SIDE, SIDE)
    out = torch.zeros(1, len(points[0]), OUTPUTS, requires_grad=True)
    loss, _ = loss_of(out, *points, truth, Weights())
    loss.backward()
    assert out.grad is not None
    inside = truth.doubtful[0]
    assert inside.sum() > 10
    assert (out.grad[0, inside] == 0).all()
    assert (out.grad[0, ~inside, 0] > 0).all()


def test_a_perfect_answer_costs_less_than_a_shifted_one() -> None:
    boxes = [[20.0, 24.0, 60.0, 70.0]]
    points, truth = make_points(SIDE, SIDE), truth_of(boxes, [1])
    right = perfect(boxes)
    wrong = right.clone()
    wrong[..., 1] += 0.5
    _, good = loss_of(right, *points, truth, Weights())
    _, bad = loss_of(wrong, *points, truth, Weights())
    assert good["box"] < 1e-3 < bad["box"]
    assert good["landmarks"] < 1e-3


def test_pictures_without_faces_teach_background_only() -> None:
    points = make_points(SIDE, SIDE)
    none = Truth(
        torch.zeros(1, 1, 4), torch.full((1, 1, 5, 2), float("nan")),
        torch.full((1, 1, CANDIDATES), -1), torch.zeros(1, len(points[0]), dtype=torch.bool),
    )  # fmt: skip
    loss, parts = loss_of(torch.zeros(1, len(points[0]), OUTPUTS), *points, none, Weights())
    assert torch.isfinite(loss)
    assert parts["box"] == parts["landmarks"] == 0
    assert parts["score"] > 0


def test_complete_iou_of_known_boxes() -> None:
    one = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
    torch.testing.assert_close(complete_iou(one, one), torch.ones(1))
    # Intersection 2 of 6; middles 1 apart in a hull of 3 × 2; equal shapes.
    torch.testing.assert_close(complete_iou(one, one + torch.tensor([1.0, 0, 1, 0])), torch.tensor([1 / 3 - 1 / 13]))
