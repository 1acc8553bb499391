"""The teacher's answers; runs where LiteRT and the teacher's file are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.errors import ArtifactError, ConfigError, DataError
from mien.faces.geometry import to_angles
from mien.labels import BLENDSHAPES
from mien.workshop.geometry import answers
from mien.workshop.geometry.teacher import Answer, Teacher, head_rotation


@pytest.mark.data
def test_the_teacher_sees_a_smile_from_the_front(shared: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    portrait = np.asarray(pytest.importorskip("skimage.data").astronaut())
    teacher = Teacher(shared / "weights" / "face_landmarker.task")
    corners = np.array([(205, 102), (246, 104), (178, 56), (274, 56), (178, 175), (274, 175)], np.float32)
    answer = teacher.ask(portrait, corners)
    assert answer.presence > 0.95
    named = dict(zip(BLENDSHAPES, answer.blendshapes, strict=True))
    assert min(named["mouthSmileLeft"], named["mouthSmileRight"]) > 0.5
    yaw, pitch, roll = to_angles(head_rotation(answer.mesh, teacher.canonical))
    assert max(abs(yaw), abs(pitch), abs(roll)) < 25
    right_eye, left_eye = answers.five_of(answer.mesh)[:2]
    np.testing.assert_allclose(right_eye, corners[0], atol=6)
    np.testing.assert_allclose(left_eye, corners[1], atol=6)
    assert answers.is_plausible(answer, answers.box_of(answer.mesh))
    crops = answers.ask_crops(
        portrait[56:176, 166:286].mean(axis=2).astype(np.uint8)[None], np.array(["a"]), teacher, side=96
    )
    assert len(crops) == 1
    assert crops.pictures.shape == (1, 96, 96)


def test_what_is_no_landmarker_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.task"
    file.write_bytes(b"no zip")
    with pytest.raises((ArtifactError, ConfigError), match=r"face_landmarker.task|LiteRT"):
        Teacher(file)


def test_doubtful_answers_are_left_out() -> None:
    mesh = np.random.default_rng(0).uniform(0, 100, (478, 3)).astype(np.float32)
    mesh[33, :2], mesh[263, :2] = (25, 40), (75, 40)
    box = np.array([0, 0, 90, 100], np.float32)
    weights = np.zeros(52, np.float32)
    assert answers.is_plausible(Answer(mesh, weights, 0.99), box)
    assert not answers.is_plausible(Answer(mesh, weights, 0.5), box)
    assert not answers.is_plausible(Answer(mesh, weights, 0.99), box + 60)
    profile = mesh.copy()
    profile[263, :2] = 30, 40
    assert not answers.is_plausible(Answer(profile, weights, 0.99), box)


def test_a_zip_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"")
    with pytest.raises(DataError, match="not a zip of pictures"):
        answers.ask_photographs(tmp_path / "a.zip", detector=None, teacher=None, side=96)  # type: ignore[arg-type]
