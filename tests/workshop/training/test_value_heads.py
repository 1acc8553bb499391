"""Heads of valence, arousal and intensity: loss, masks, training on faces whose values can be seen, export, reading."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')

from drawn_faces import draw_face, make_faces
from runs import assert_same_run, small_config
from stripes import make_dataset

from mien.artifact.artifact import load_artifact, load_manifest
from mien.errors import ArtifactError, ConfigError, DataError
from mien.reading.classifier import load_model
from mien.reading.pipeline import Pipeline
from mien.workshop import ExportOptions, export_model, quantize_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.models import evaluate_model
from mien.workshop.export.compact import Compaction
from mien.workshop.training.config import TrainingConfig, parse_config
from mien.workshop.training.fit import fit
from mien.workshop.training.train import default_config
from mien.workshop.training.value_heads import value_loss, value_targets


def _targets(values: list[list[float]]) -> torch.Tensor:
    given = torch.tensor(values)
    return torch.cat([given.nan_to_num(), (~given.isnan()).float()], dim=1)


def test_the_loss_is_one_minus_concordance_and_the_squared_error() -> None:
    random = np.random.default_rng(0)
    told, true = random.normal(size=(2, 40))
    both = np.cov(told, true, bias=True)
    concordance = 2 * both[0, 1] / (both[0, 0] + both[1, 1] + (told.mean() - true.mean()) ** 2)
    expected = 1 - concordance + 0.5 * np.mean((told - true) ** 2)
    loss = value_loss(torch.tensor(told)[:, None], _targets(true[:, None].tolist()), mse=0.5)
    assert float(loss) == pytest.approx(expected, abs=1e-4)


def test_rows_that_know_nothing_teach_nothing() -> None:
    told = torch.tensor([[0.1, 0.5], [0.4, -0.2], [0.3, 0.9]], requires_grad=True)
    nan = float("nan")
    loss = value_loss(told, _targets([[0.2, nan], [nan, nan], [0.9, nan]]), mse=1.0)
    loss.backward()
    assert told.grad is not None
    assert (told.grad != 0).tolist() == [[True, False], [False, False], [True, False]]
    # Of a single row there is no correlation.
    alone = value_loss(told, _targets([[0.2, nan], [nan, nan], [nan, nan]]), mse=1.0)
    assert alone.item() == pytest.approx((0.1 - 0.2) ** 2 / 2, abs=1e-6)
    assert value_loss(told, _targets([[nan, nan]] * 3), mse=1.0).item() == 0


def test_a_data_set_without_the_columns_is_refused() -> None:
    with pytest.raises(DataError, match=r"stripes has no columns valence, arousal.*set heads\.valence_arousal = 0"):
        value_targets(make_dataset(), "valence_arousal")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model": {"arch": "hog"}, "optim": {"name": "svm"}, "heads": {"intensity": 1.0}}, "svm.* learns classes"),
        ({"fit": {"selection": "intensity"}}, "selection = 'intensity'.*not trained"),
        ({"heads": {"valence_arousal": -1}}, "valence_arousal"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(values)


def test_the_defaults_train_the_heads_that_the_data_has_answers_for() -> None:
    assert set(default_config(make_faces(40, 4, 4)).heads.weights) == {"fer2013", "valence_arousal", "intensity"}
    assert set(default_config(make_faces(40, 4, 4, labels=False)).heads.weights) == {"valence_arousal", "intensity"}
    assert set(default_config(make_dataset()).heads.weights) == {"fer2013", "crowd"}


def _resumable(dataset: FaceDataset) -> FaceDataset:
    random = np.random.default_rng(1)
    affect = random.uniform(0, 1, (len(dataset), 3)).astype(np.float32)
    affect[::3, 1:] = np.nan
    return replace(dataset, affect=affect)


def test_a_run_that_stops_resumes_bit_by_bit(tmp_path: Path) -> None:
    config = small_config(heads={"valence_arousal": 1.0, "intensity": 0.5})
    data = _resumable(make_dataset())
    whole = fit(config, data, tmp_path / "whole", device="cpu")
    fit(config, data, tmp_path / "parts", device="cpu", stop_after=2)
    fit(config, data, tmp_path / "parts", device="cpu")
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    assert {"valence_arousal", "intensity", "fer2013", "crowd"} <= whole.history[0].keys()


def test_other_values_are_another_run(tmp_path: Path) -> None:
    config = small_config(heads={"valence_arousal": 1.0})
    data = _resumable(make_dataset())
    fit(config, data, tmp_path, device="cpu", stop_after=1)
    with pytest.raises(ConfigError, match="another run"):
        fit(config, replace(data, affect=data.affect / 2), tmp_path, device="cpu")  # type: ignore[operator]


def _config(**heads: float) -> TrainingConfig:
    plain = dict.fromkeys(("flip", "rotation", "shift", "zoom", "shear", "brightness", "contrast", "erase"), 0.0)
    return parse_config({
        "name": "drawn",
        "model": {"arch": "shallow_cnn", "options": {"widths": [8, 16], "dense": 32, "dropout": 0.0}, "size": 24},
        "heads": {"fer2013": 0.0, "crowd": 0.0} | heads,
        "optim": {"name": "adam", "lr": 0.005, "warmup_epochs": 0, "weight_decay": 0},
        "augment": plain,
        "fit": {"epochs": 8, "batch_size": 16, "ema": 0, "label_smoothing": 0, "seed": 1},
    })  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two models: `both` has a head of expressions too, `alone` has values only."""
    root = tmp_path_factory.mktemp("values")
    for name, heads, labels in (
        ("both", {"fer2013": 1.0, "valence_arousal": 1.0}, True),
        ("alone", {"valence_arousal": 1.0, "intensity": 1.0}, False),
    ):
        data = make_faces(labels=labels)
        fit(_config(**heads), data, root / f"run-{name}", device="cpu")
        exported = export_model(root / f"run-{name}", data, root / name, ExportOptions(name=name))
        found = {scores.key: scores.figures["ccc"].value for scores in exported.evaluation.values}
        # Half of the training rows lack arousal.
        assert found["valence-test"] > 0.8, name
        assert found["arousal-test"] > 0.7, name
        assert name == "both" or found["intensity-test"] > 0.4
    return root


def test_what_was_learnt_is_what_faces_get(trained: Path) -> None:
    pipeline = Pipeline(trained / "both", detector="none")
    random = np.random.default_rng(9)
    smiling, frowning = (
        pipeline.analyze(np.repeat(draw_face(valence, 0.0, random)[..., None], 3, axis=2))[0] for valence in (0.9, -0.9)
    )
    assert smiling.valence is not None
    assert frowning.valence is not None
    assert smiling.valence > 0.3 > -0.3 > frowning.valence
    assert smiling.top == "happy"
    assert smiling.affect is not None
    # Valence and arousal from their own head, intensity by the words of the other.
    assert smiling.affect.source == "valence_arousal, fer2013"
    manifest = load_manifest(trained / "both")
    assert smiling.affect.valence_sd == pytest.approx(manifest.affect["valence_arousal"].sd[0])
    assert smiling.intensity is not None
    scores = [score for score in manifest.scores if score.get("value") == "valence"]
    assert {score["set"] for score in scores} == {"validation", "test"}
    assert all(low <= score["ccc"] <= high for score in scores for low, high in [score["ccc_95"]])


def test_a_model_of_values_alone_estimates_them_and_no_expression(trained: Path) -> None:
    model = load_model(trained / "alone")
    data = make_faces(10, 10, 10).part("test")
    found = model.predict_affect(data.images)
    assert found.shape == (10, 6)
    assert not np.isnan(found).any()
    assert np.corrcoef(found[:, 0], data.affect[:, 0])[0, 1] > 0.8  # type: ignore[index]
    assert model.predict_affect([]).shape == (0, 6)
    with pytest.raises(ConfigError, match=r"estimates valence_arousal, intensity and no expressions"):
        Pipeline(trained / "alone")


def test_a_report_of_values_alone(trained: Path, tmp_path: Path) -> None:
    from mien.workshop.reports.evaluation_report import write_report

    evaluated = evaluate_model(trained / "alone", make_faces(10, 40, 40, labels=False))
    write_report(evaluated.evaluation, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "CCC" in page
    assert "intensity" in page
    assert evaluated.evaluation.sets == ()


def test_a_model_of_words_is_measured_on_the_same_columns(trained: Path) -> None:
    evaluation = evaluate_model("mien-xs", make_faces(10, 40, 40)).evaluation
    assert {(scores.name, scores.source) for scores in evaluation.values} == {
        ("valence", "crowd"), ("arousal", "crowd"), ("intensity", "crowd"),
    }  # fmt: skip
    assert evaluation.sets


def test_a_smaller_graph_keeps_the_values(trained: Path, tmp_path: Path) -> None:
    data = make_faces()
    made = quantize_model(trained / "both", data, tmp_path / "half", Compaction("float16"))
    assert made.after.manifest.affect["valence_arousal"].sd >= made.before.manifest.affect["valence_arousal"].sd
    crops = data.part("test").images[:8]
    one, two = (load_model(folder).predict_affect(crops) for folder in (trained / "both", tmp_path / "half"))
    np.testing.assert_allclose(one[:, :2], two[:, :2], atol=0.02)


def test_training_continues_from_a_model_that_lacks_the_head(trained: Path, tmp_path: Path) -> None:
    config = _config(fer2013=1.0, valence_arousal=1.0, intensity=1.0)
    values = config.model_dump(mode="json") | {"model": {"weights": str(trained / "both")}}
    values["fit"] |= {"epochs": 1}
    history = fit(parse_config(values), make_faces(), tmp_path, device="cpu").history
    # What it has learnt is there from the first epoch on; the new head has just begun.
    assert history[0]["valence_arousal"] > 0.7


def test_a_manifest_of_unknown_or_incomplete_values_is_refused(trained: Path) -> None:
    manifest = load_artifact(trained / "both").manifest
    text = manifest.to_json()
    for old, new, message in (
        ('"valence_arousal": {', '"dominance": {', "unknown output 'dominance'"),
        ('"sd": [', '"spread": [', "unknown key 'spread'"),
        ('"sd": [', '"sd": [0.1, ', "expected a number from 0 for each of valence, arousal"),
    ):
        assert old in text
        with pytest.raises(ArtifactError, match=message):
            type(manifest).from_json(text.replace(old, new, 1))
