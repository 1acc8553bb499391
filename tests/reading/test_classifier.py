from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mien.artifact.artifact import Head, Reading, load_artifact, write_artifact
from mien.artifact.calibration import Calibration, softmax
from mien.artifact.input import InputSpec
from mien.errors import ArtifactError, ConfigError
from mien.labels import CROWD, SEVEN
from mien.reading.classifier import Model, load_model

RANDOM = np.random.default_rng(3)


def noise(*shape: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return RANDOM.integers(0, 256, shape, np.uint8)


@pytest.fixture(scope="module")
def model(toy_artifact: Path) -> Model:
    return load_model(toy_artifact)


def test_what_a_model_says_of_itself(model: Model) -> None:
    assert (model.name, model.version) == ("toy", "1.0")
    assert model.heads == {"fer2013": SEVEN, "crowd": CROWD}
    assert model.spec == InputSpec()
    assert model.manifest.default_head == "crowd"


@pytest.mark.parametrize("shape", [(3, 48, 48, 3), (3, 48, 48), (1, 120, 90, 3), (200, 20, 30), (2, 48, 48, 1)])
def test_probabilities_are_float32_and_sum_to_one(model: Model, shape: tuple[int, ...]) -> None:
    for head, labels in model.heads.items():
        probabilities = model.predict(noise(*shape), head)
        assert probabilities.shape == (shape[0], len(labels))
        assert probabilities.dtype == np.float32
        assert (probabilities >= 0).all()
        np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("crops", [[], np.zeros((0, 48, 48, 3), np.uint8), np.zeros((0, 48, 48), np.uint8)])
def test_no_crop_gives_no_row(model: Model, crops: Any) -> None:
    assert model.predict(crops).shape == (0, 8)
    assert model.predict(crops, "fer2013").shape == (0, 7)


def test_crops_of_any_sizes_in_one_list(model: Model) -> None:
    crops = [noise(48, 48, 3), noise(200, 150), noise(7, 9, 3), noise(48, 48)]
    together = model.predict(crops)
    alone = np.concatenate([model.predict([crop]) for crop in crops])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_grey_and_its_rgb_are_one(model: Model) -> None:
    grey = noise(4, 48, 48)
    np.testing.assert_allclose(model.predict(grey), model.predict(np.stack([grey] * 3, axis=-1)), atol=1e-6)


def test_batches_do_not_show(model: Model) -> None:
    crops = noise(150, 48, 48)
    by_one = np.concatenate([model.predict(crops[i : i + 1]) for i in range(150)])
    np.testing.assert_allclose(model.predict(crops), by_one, atol=1e-6)


def test_the_temperature_is_applied(toy_artifact: Path, model: Model) -> None:
    crops = noise(5, 48, 48)
    np.testing.assert_allclose(model.predict(crops), softmax(model.logits(crops) / 1.5), atol=1e-6)
    artifact = load_artifact(toy_artifact)
    heads = {name: replace(head, calibration=Calibration(100.0)) for name, head in artifact.manifest.heads.items()}
    cooled = Model(replace(artifact, manifest=replace(artifact.manifest, heads=heads)))
    assert cooled.predict(crops).max() < model.predict(crops).max()


def test_flipping_averages_the_logits_of_both_views(model: Model) -> None:
    crops = noise(70, 48, 48)
    both = model.reading(flip=True)
    wanted = (model.logits(crops) + model.logits(crops[:, :, ::-1])) / 2
    np.testing.assert_allclose(both.logits(crops), wanted, atol=1e-5)
    np.testing.assert_allclose(both.predict(crops), both.predict(crops[:, :, ::-1]), atol=1e-6)
    assert (model.title, both.title, both.reading(flip=False).title) == ("toy 1.0", "toy 1.0 +flip", "toy 1.0")
    assert both.logits(noise(0, 48, 48)).shape == (0, 8)


@pytest.fixture(scope="module")
def with_prior(toy_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy as if `neutral` had stood for two thirds of the crowd's faces."""
    artifact = load_artifact(toy_artifact)
    heads = dict(artifact.manifest.heads)
    heads["crowd"] = replace(heads["crowd"], prior=(0.65, *[0.05] * 7))
    folder = tmp_path_factory.mktemp("artifacts") / "toy"
    return write_artifact(folder, artifact.graph, replace(artifact.manifest, heads=heads))


def test_balance_makes_the_common_class_rarer(with_prior: Path) -> None:
    crops = noise(50, 48, 48)
    plain, even = load_model(with_prior), load_model(with_prior, balance=1.0)
    wanted = plain.predict(crops) / np.array([13.0, *[1.0] * 7])
    np.testing.assert_allclose(even.predict(crops), wanted / wanted.sum(axis=1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(even.predict(crops, "fer2013"), plain.predict(crops, "fer2013"))
    half = even.reading(balance=0.5)
    assert half.predict(crops)[:, 0].mean() > even.predict(crops)[:, 0].mean()
    assert half.reading(flip=True).title == "toy 1.0 +flip +balance0.5"
    np.testing.assert_array_equal(half.reading(balance=0).predict(crops), plain.predict(crops))


def test_users_are_shown_the_default_head_by_the_rule_of_the_manifest(with_prior: Path, tmp_path: Path) -> None:
    artifact = load_artifact(with_prior)
    heads = dict(artifact.manifest.heads) | {"fer2013": replace(artifact.manifest.heads["fer2013"], prior=(1 / 7,) * 7)}
    manifest = replace(artifact.manifest, heads=heads, reading=Reading(balance=0.5))
    folder = write_artifact(tmp_path / "toy", artifact.graph, manifest)
    crops = noise(20, 48, 48)
    plain, half = load_model(folder), load_model(folder, balance=0.5)
    assert (plain.title, plain.as_shown().title) == ("toy 1.0", "toy 1.0 +balance0.5")
    np.testing.assert_array_equal(plain.predict(crops), load_model(folder, balance=0).predict(crops))
    np.testing.assert_array_equal(plain.as_shown().predict(crops), half.predict(crops))
    np.testing.assert_array_equal(plain.as_shown().predict(crops, "fer2013"), plain.predict(crops, "fer2013"))
    assert plain.as_shown("fer2013").title == "toy 1.0"
    for asked in (plain.reading(balance=0).as_shown(), plain.as_shown().reading(balance=0)):
        np.testing.assert_array_equal(asked.predict(crops), plain.predict(crops))


def test_balance_that_cannot_be_is_told(model: Model, with_prior: Path) -> None:
    with pytest.raises(ConfigError, match=r"from 0 to 1, not 1\.5"):
        load_model(with_prior, balance=1.5)
    with pytest.raises(ConfigError, match=r"toy 1\.0 does not say how frequent .* `mien model calibrate`"):
        model.reading(balance=0.5)


def test_a_model_is_loaded_flipping(toy_artifact: Path, model: Model) -> None:
    crops = noise(3, 48, 48)
    np.testing.assert_array_equal(
        load_model(toy_artifact, flip=True).predict(crops), model.reading(flip=True).predict(crops)
    )


def test_the_default_head_is_the_manifest_s(model: Model) -> None:
    crops = noise(2, 48, 48)
    np.testing.assert_array_equal(model.predict(crops), model.predict(crops, "crowd"))
    with pytest.raises(ConfigError, match="unknown head 'mood': toy has fer2013, crowd"):
        model.predict(crops, "mood")


@pytest.mark.parametrize(
    ("crops", "message"),
    [
        (np.zeros((2, 48, 48, 3), np.float32), "expected uint8 values 0–255, not float32"),
        ([np.zeros((48, 48), np.float64)], "crop 0: expected uint8"),
        ([np.zeros((48, 48), np.uint8), np.zeros((48, 48), bool)], "crop 1: expected uint8"),
        (np.zeros((48, 48), np.uint8), "crops are"),
        (np.zeros((48, 48, 3), np.uint8), r"for one RGB crop give \[crop\]"),
        (np.zeros((2, 48, 48, 4), np.uint8), r"not \(48, 48, 4\)"),
        ([np.zeros((0, 48), np.uint8)], r"not \(0, 48\)"),
        ([[[1, 2], [3, 4]]], "expected an array, not list"),
    ],
)
def test_bad_crops_are_told(model: Model, crops: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        model.predict(crops)


def test_a_graph_that_does_not_fit_its_manifest(toy_artifact: Path) -> None:
    artifact = load_artifact(toy_artifact)
    only_one = {"crowd": artifact.manifest.heads["crowd"]}
    for changes in ({"heads": only_one}, {"input": InputSpec(32, 32)}, {"heads": {"crowd": Head(SEVEN)}}):
        manifest = replace(artifact.manifest, **{"default_head": "crowd", **changes})
        with pytest.raises(ArtifactError, match="does not fit its manifest"):
            Model(replace(artifact, manifest=manifest))


def test_bytes_that_are_no_graph_behind_a_right_sha256(toy_artifact: Path, tmp_path: Path) -> None:
    folder = write_artifact(tmp_path / "foreign", b"\x08\x08", load_artifact(toy_artifact).manifest)
    with pytest.raises(ArtifactError, match="cannot load the graph"):
        load_model(folder)


def test_a_model_moves_with_its_folder(toy_artifact: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(toy_artifact, tmp_path / "elsewhere")
    assert load_model(str(moved)).name == "toy"


def test_softmax_of_large_values() -> None:
    row = softmax(np.array([[1e4, -1e4, 0]], np.float32))
    np.testing.assert_array_equal(row, [[1, 0, 0]])
