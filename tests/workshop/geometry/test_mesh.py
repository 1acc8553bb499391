from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from mien.errors import ArtifactError
from mien.faces.geometry import MIRROR, from_angles, to_angles
from mien.workshop.geometry.teacher import (
    BLENDSHAPE_POINTS,
    IBUG,
    MESH_POINTS,
    Canonical,
    facing,
    head_rotation,
    load_canonical,
    mirror_of,
    read_canonical,
    to_ibug,
)


def ball(seed: int = 0) -> Canonical:
    """A head like a ball, alike on both sides: its first half of vertices is the mirror image of the second."""
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(234, 3))
    half[:, 0] = np.abs(half[:, 0]) + 0.01
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    vertices = np.concatenate([half * (-1, 1, 1), half]).astype(np.float32) * 10
    triangles = rng.integers(0, 468, (900, 3))
    corners = vertices[triangles]
    outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = (outward * corners.mean(axis=1)).sum(axis=1) < 0
    triangles[inward] = triangles[inward][:, ::-1]
    return Canonical(vertices, triangles, np.ones(468, np.float32))


@pytest.mark.parametrize("angles", [(0, 0, 0), (40, 0, 0), (0, -25, 0), (-20, 15, 35), (10, 5, 170)])
def test_the_pose_of_a_turned_head_is_found(angles: tuple[float, float, float]) -> None:
    canonical = ball()
    turned = canonical.vertices @ from_angles(angles).T * 3.7
    mesh = np.zeros((MESH_POINTS, 3), np.float32)
    # In a picture y goes down and z away from the camera.
    mesh[:468] = turned * (1, -1, -1) + (120, 80, 5)
    np.testing.assert_allclose(to_angles(head_rotation(mesh, canonical)), angles, atol=1e-3)


def test_points_that_are_turned_away_are_told() -> None:
    canonical = ball()
    straight, right = facing(np.eye(3, dtype=np.float32), canonical), facing(from_angles((60, 0, 0)), canonical)
    first = [entry[0] for entry in IBUG[:68]]
    depth = canonical.vertices[first, 2]
    assert np.corrcoef(straight[:68], depth)[0, 1] > 0.4
    across = canonical.vertices[first, 0]
    assert np.corrcoef((right - straight)[:68], across)[0, 1] < -0.4, "the head's left side turns away"


def test_ibug_points_stand_between_theirs() -> None:
    mesh = np.random.default_rng(0).normal(size=(2, MESH_POINTS, 3)).astype(np.float32)
    points = to_ibug(mesh)
    assert points.shape == (2, 70, 3)
    np.testing.assert_array_equal(points[:, 36], mesh[:, 33])
    np.testing.assert_allclose(points[:, 3], (mesh[:, 132] + mesh[:, 58]) / 2, rtol=1e-5)
    np.testing.assert_array_equal(points[:, 69], mesh[:, 473])


@pytest.mark.data
def test_mirror_images_of_the_blendshapes_points(shared: Path) -> None:
    mirror = mirror_of(load_canonical(shared / "weights" / "face_landmarker.task"))
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(BLENDSHAPE_POINTS)))


def test_the_table_is_alike_on_both_sides() -> None:
    """Each point's mirror image stands between as many points of the mesh."""
    assert [len(IBUG[other]) for other in MIRROR] == [len(entry) for entry in IBUG]


def field(number: int, kind: int, value: bytes) -> bytes:
    return bytes([number << 3 | kind]) + value


def test_a_canonical_head_is_read_from_metadata() -> None:
    values = np.arange(15, dtype="<f4")
    mesh = b"".join(field(3, 5, struct.pack("<f", value)) for value in values)
    mesh += b"".join(field(4, 0, bytes([corner])) for corner in (2, 1, 0))
    weight = field(1, 0, bytes([1])) + field(2, 5, struct.pack("<f", 0.5))
    data = field(1, 2, bytes([len(mesh)]) + mesh) + field(2, 2, bytes([len(weight)]) + weight)
    canonical = read_canonical(data)
    np.testing.assert_array_equal(canonical.vertices, values.reshape(3, 5)[:, :3])
    assert canonical.triangles.tolist() == [[2, 1, 0]]
    assert canonical.weights.tolist() == [0, 0.5, 0]


@pytest.mark.parametrize("data", [b"", b"\x00\x01\x02", b"\xff" * 20, b"\x0a\x02\x18\x01"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="geometry metadata"):
        read_canonical(data)
