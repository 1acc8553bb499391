from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')
feature = pytest.importorskip("skimage.feature", reason="needs scikit-image")

from mien.errors import ConfigError
from mien.workshop.networks.architectures import create_network
from mien.workshop.networks.hog import HOG


def pictures(channels: int, size: int) -> Any:
    """Noise, a picture of four greys with many gradients of no length, and one that is flat at the left."""
    found = np.random.default_rng(0).integers(0, 256, (3, channels, size, size), dtype=np.uint8)
    found[1] = found[1] // 64 * 3
    found[2, :, :, : size // 2] = 7
    return found


@pytest.mark.parametrize(
    ("channels", "size", "options"),
    [
        (1, 48, {}),
        (3, 48, {}),
        (1, 53, {}),
        (1, 64, {"orientations": 8, "cell": 6, "block": 3}),
    ],
    ids=["grey", "rgb", "a rest of pixels", "other options"],
)
def test_computes_what_scikit_image_does(channels: int, size: int, options: dict[str, int]) -> None:
    faces = pictures(channels, size)
    body = HOG(channels=channels, size=size, **options)
    cell, block = (options.get(key, default) for key, default in (("cell", 8), ("block", 2)))
    wanted = [
        feature.hog(
            face.transpose(1, 2, 0), options.get("orientations", 9), (cell, cell), (block, block), channel_axis=-1
        )
        for face in faces
    ]
    found = body(torch.from_numpy(faces).float()).numpy()
    assert found.shape == (3, body.features)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_network_sees_pixels_as_they_are_and_trains_its_heads_alone() -> None:
    network, faces = create_network("hog"), pictures(1, 48)
    found = network.body(network.normalize(torch.from_numpy(faces).float()))
    np.testing.assert_allclose(found[0], feature.hog(faces[0, 0], 9, (8, 8), (2, 2)), atol=1e-5)
    assert {name.split(".")[0] for name, _ in network.named_parameters()} == {"heads"}


def test_a_face_below_one_block_is_refused() -> None:
    with pytest.raises(ConfigError, match="48 pixels are less than a block of 2 cells of 32 pixels"):
        create_network("hog", cell=32)
