"""A model that gives a tensor of its graph beside its answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mien.errors import ArtifactError
from mien.reading.classifier import EMBEDDING, load_model


def test_features_come_beside_the_same_answers(toy_artifact: Path) -> None:
    plain = load_model(toy_artifact)
    model = plain.with_embedding("flat")
    faces = np.random.default_rng(0).integers(0, 256, (3, 1, 48, 48), np.uint8)
    found, alone = model.run(faces), plain.run(faces)
    assert found.keys() - alone.keys() == {EMBEDDING}
    assert found[EMBEDDING].dtype == np.float32
    np.testing.assert_array_equal(found[EMBEDDING], faces.reshape(3, -1))
    for name, values in alone.items():
        np.testing.assert_array_equal(found[name], values)
    assert model.run(faces[:0])[EMBEDDING].shape == (0, 48 * 48)


def test_a_tensor_that_the_graph_has_not_is_told(toy_artifact: Path) -> None:
    with pytest.raises(ArtifactError, match="nothing_like_it"):
        load_model(toy_artifact).with_embedding("nothing_like_it")
