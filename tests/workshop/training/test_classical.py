from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason='needs pip install "mien[train]"')
pytest.importorskip("sklearn", reason='needs pip install "mien[train]"')

from sklearn.svm import LinearSVC
from stripes import make_dataset

from mien.errors import ConfigError, DataError, MissingExtraError
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.fer2013 import majority
from mien.workshop.networks.checkpoint import load_network
from mien.workshop.training import classical
from mien.workshop.training.config import parse_config
from mien.workshop.training.fit import fit
from mien.workshop.training.objective import predict_logits

SVM: dict[str, Any] = {"name": "hog-svm", "model": {"arch": "hog"}, "optim": {"name": "svm", "svm_c": [0.001, 1.0]}}


def faces_of(rows: FaceDataset) -> Any:
    return torch.from_numpy(rows.images).unsqueeze(1)


def test_heads_give_the_margins_of_scikit_learn(dataset: FaceDataset, tmp_path: Path) -> None:
    skimage = pytest.importorskip("skimage.feature")
    result = fit(parse_config(SVM | {"optim": {"name": "svm", "svm_c": [0.1]}}), dataset, tmp_path, device="cpu")
    network, _ = load_network(result.checkpoint)
    rows, tested = dataset.part("train"), dataset.part("validation")
    features, wanted = (
        np.stack([skimage.hog(face, 9, (8, 8), (2, 2)) for face in part.images]) for part in (rows, tested)
    )
    found = predict_logits(network, faces_of(tested))
    for head, labels in (("fer2013", rows.labels), ("crowd", majority(rows.votes))):
        machine = LinearSVC(C=0.1, dual=False).fit(features, labels)
        margins = machine.decision_function(wanted)
        np.testing.assert_allclose(found[head].numpy()[:, machine.classes_], margins, atol=2e-3)
        assert found[head].argmax(1).tolist() == machine.predict(wanted).tolist()


def test_leaves_a_run_with_one_epoch_that_stays_as_it_is(dataset: FaceDataset, tmp_path: Path) -> None:
    config = parse_config(SVM)
    result = fit(config, dataset, tmp_path, device="cpu")
    names = {"last.safetensors", "best.safetensors", "history.json"}
    assert {path.name for path in tmp_path.iterdir()} == names
    (row,) = json.loads((tmp_path / "history.json").read_text())["history"]
    assert row["fer2013"] > 0.8
    assert row["c_fer2013"] in (0.001, 1.0)
    assert {"epoch", "train_loss", "loss", "lr", "crowd", "score", "seconds", "train_seconds"} <= row.keys()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert fit(config, dataset, tmp_path, device="cpu").history == result.history
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ConfigError, match="belongs to another run"):
        fit(parse_config(SVM | {"optim": {"name": "svm"}}), dataset, tmp_path, device="cpu")


def test_the_penalty_is_the_best_on_the_validation_split(dataset: FaceDataset, tmp_path: Path) -> None:
    scores = {}
    for penalties in ([1e-9], [1.0], [1e-9, 1.0]):
        config = parse_config(SVM | {"optim": {"name": "svm", "svm_c": penalties}})
        (row,) = fit(config, dataset, tmp_path / str(len(scores)), device="cpu").history
        scores[tuple(penalties)] = row["fer2013"]
    assert scores[1e-9, 1.0] == scores[1.0,] > scores[1e-9,]


def test_absent_classes_are_never_chosen_and_one_class_is_not_enough(tmp_path: Path) -> None:
    data = make_dataset(votes=False)
    config = parse_config(SVM | {"heads": {"crowd": 0}})
    two = data[(data.labels == 2) | (data.labels == 5)]
    network, _ = load_network(fit(config, two, tmp_path / "two", device="cpu").checkpoint)
    tested = two.part("validation")
    assert predict_logits(network, faces_of(tested))["fer2013"].argmax(1).tolist() == tested.labels.tolist()
    with pytest.raises(DataError, match=r"head fer2013: .* needs rows of two classes, and there are 1"):
        fit(config, data[data.labels == 2], tmp_path / "one", device="cpu")
    with pytest.raises(DataError, match="no FER"):
        fit(parse_config(SVM), data, tmp_path / "votes", device="cpu")


def test_class_weights_change_the_machine(tmp_path: Path) -> None:
    data = make_dataset()
    data = data[(data.labels != 2) | (np.arange(len(data)) < 30)]
    weights = []
    for kind in ("none", "inverse"):
        config = parse_config(SVM | {"heads": {"class_weights": kind, "crowd": 0}})
        weights.append(load_network(fit(config, data, tmp_path / kind, device="cpu").checkpoint)[0].heads["fer2013"])
    assert not torch.equal(weights[0].weight, weights[1].weight)


def test_without_scikit_learn_the_pip_line_is_told(
    dataset: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classical, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"needs scikit-learn, .*mien\[train\]"):
        fit(parse_config(SVM), dataset, tmp_path, device="cpu")
