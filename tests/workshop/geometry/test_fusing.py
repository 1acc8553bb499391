from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from made_faces import make_faces

from mien.errors import ConfigError, DataError
from mien.workshop.geometry import fusing
from mien.workshop.geometry.student import CloseupNet, GeometryNet


def test_each_face_is_seen_once_by_both_networks() -> None:
    torch.manual_seed(0)
    faces = make_faces(6)
    face, closeups = GeometryNet().eval(), CloseupNet().eval()
    seen, again = (fusing.look(face, closeups, faces, np.random.default_rng(5)) for _ in range(2))
    assert seen.features.shape == (6, 288)
    assert seen.blendshapes.shape == (6, 52)
    np.testing.assert_array_equal(seen.features, again.features)


def test_the_fit_follows_and_is_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(2, 3, (2000, 288)).astype(np.float32)
    hidden = features[:, :4] @ rng.normal(0, 0.3, (4, 52))
    targets = (1 / (1 + np.exp(-hidden + 1))).astype(np.float32)
    net = fusing.fit(fusing.Seen(features, targets), epochs=60)
    with torch.no_grad():
        told = torch.sigmoid(net(torch.from_numpy(features))).numpy()
    assert np.mean([np.corrcoef(told[:, n], targets[:, n])[0, 1] for n in range(52)]) > 0.8
    fusing.save_fusion(net, tmp_path / "fusion.safetensors")
    for name, value in fusing.load_fusion(tmp_path / "fusion.safetensors").state_dict().items():
        torch.testing.assert_close(value, net.state_dict()[name])
    with pytest.raises(ConfigError, match="fuse first"):
        fusing.load_fusion(tmp_path / "other.safetensors")


def test_what_was_seen_is_kept_and_a_cut_file_told(tmp_path: Path) -> None:
    path = tmp_path / "seen-0-of-1.npz"
    seen = fusing.Seen(np.ones((2, 3), np.float32), np.zeros((2, 52), np.float32))
    fusing.save_seen(seen, path)
    np.testing.assert_array_equal(fusing.join([seen, fusing.load_seen(path)]).features, np.ones((4, 3)))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"seen-0-of-1.npz is not a whole file .* remove it"):
        fusing.load_seen(path)
