from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mien.errors import ArtifactError
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.compare import compare
from mien.workshop.evaluation.evaluate import Predict, evaluate
from mien.workshop.evaluation.scores import Evaluation, ModelIdentity
from mien.workshop.evaluation.stored import PROBABILITIES, SCORES, Recorder, load_evaluation, save_evaluation
from mien.workshop.reports.evaluation_report import to_dict


@pytest.fixture
def kept(tmp_path: Path, make_dataset: Callable[..., FaceDataset], guessing: Predict) -> tuple[Path, Evaluation]:
    recorder = Recorder(guessing)
    evaluation = evaluate(recorder, make_dataset(), model=ModelIdentity("toy"), batch=16)
    save_evaluation(tmp_path, evaluation, recorder.answers, {"seed": 3})
    return tmp_path, evaluation


def test_scores_come_back_without_the_data(kept: tuple[Path, Evaluation]) -> None:
    folder, evaluation = kept
    again, facts = load_evaluation(folder)
    assert facts == {"seed": 3}
    assert {path.name for path in folder.iterdir()} == {SCORES, PROBABILITIES}
    assert to_dict(again)["sets"] == to_dict(evaluation)["sets"]
    assert {scores.faces.head for scores in again.sets} == {"fer2013", "crowd"}
    assert all(row.difference == (0, 0) for row in compare(evaluation, again))


@pytest.mark.parametrize("file", [SCORES, PROBABILITIES])
def test_damage_is_named(kept: tuple[Path, Evaluation], file: str) -> None:
    folder, _ = kept
    (folder / file).write_bytes((folder / file).read_bytes()[:-40])
    with pytest.raises(ArtifactError, match=r"scores\.json|probabilities\.npz"):
        load_evaluation(folder)
    (folder / file).unlink()
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_evaluation(folder)


def test_nothing_pickled_is_loaded(kept: tuple[Path, Evaluation]) -> None:
    import hashlib

    folder, _ = kept
    np.savez(folder / PROBABILITIES, rows=np.array([{"a": 1}], dtype=object))
    values = json.loads((folder / SCORES).read_text())
    values["probabilities"] = hashlib.sha256((folder / PROBABILITIES).read_bytes()).hexdigest()
    (folder / SCORES).write_text(json.dumps(values))
    with pytest.raises(ArtifactError, match="cannot be read"):
        load_evaluation(folder)
