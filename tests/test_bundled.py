"""The model in the wheel: what the README says of it is what it does."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mien
from mien.artifact.artifact import GRAPH_FILE
from mien.artifact.catalog import BUNDLED, DEFAULT_MODEL
from mien.labels import CROWD, SEVEN
from mien.reading.classifier import Model, load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.fer2013 import majority


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model()


def score_of(model: Model, head: str, rows: int) -> dict[str, Any]:
    return next(dict(s) for s in model.manifest.scores if s["head"] == head and s["rows"] == rows)


def test_it_is_small_and_has_both_heads(model: Model) -> None:
    assert (BUNDLED / DEFAULT_MODEL / GRAPH_FILE).stat().st_size <= 6e6
    assert model.heads == {"fer2013": SEVEN, "crowd": CROWD}
    assert model.manifest.default_head == "crowd"
    assert model.manifest.training["fit"]["selection"] == "mean"


def test_the_smallest_comes_along_and_has_the_same_heads(model: Model) -> None:
    smallest = load_model("mien-xs")
    assert (BUNDLED / "mien-xs" / GRAPH_FILE).stat().st_size <= 1.2e6
    assert smallest.heads == model.heads


def test_every_score_says_what_it_was_measured_on(model: Model) -> None:
    assert len(model.manifest.scores) >= 7
    for score in model.manifest.scores:
        assert {"head", "set", "labels", "rows", "accuracy", "accuracy_95", "macro_f1", "selection"} <= score.keys()
        low, high = score["accuracy_95"]
        assert low < score["accuracy"] < high


def test_history_and_report_lie_beside_it() -> None:
    report = BUNDLED / DEFAULT_MODEL / "report"
    history = json.loads((report / "history.json").read_text())["history"]
    saved = json.loads((BUNDLED / DEFAULT_MODEL / "manifest.json").read_text())
    scores = [row["score"] for row in history]
    assert max(scores) == pytest.approx(saved["data"]["selected"]["score"])
    assert (report / "report.md").read_text().startswith("# mien-s")


def test_the_readme_has_the_figures_of_the_report(model: Model) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    found = re.findall(r"\| ([\d,]+) \| \*\*([\d.]+) %\*\* \(([\d.]+)–([\d.]+)\) \|", text)
    assert len(found) == 3
    for (rows, *figures), head in zip(found, ("crowd", "fer2013", "fer2013"), strict=True):
        asked = (head, int(rows.replace(",", "")), "PrivateTest")
        (score,) = (s for s in model.manifest.scores if asked == (s["head"], s["rows"], s["set"].partition(",")[0]))
        meant = (score["accuracy"], *score["accuracy_95"])
        assert [float(figure) for figure in figures] == [pytest.approx(100 * share, abs=0.051) for share in meant]


@pytest.mark.data
def test_it_reaches_the_figures_of_its_manifest(model: Model, fer2013: FaceDataset) -> None:
    rows = fer2013.part("validation", "test")
    accuracy = np.mean(model.predict(rows.images, "fer2013").argmax(axis=1) == rows.labels)
    assert accuracy == pytest.approx(score_of(model, "fer2013", 7178)["accuracy"], abs=2e-3)
    test = fer2013.part("test")
    assert test.votes is not None
    truth = majority(test.votes)
    kept = truth >= 0
    found = model.predict(test.images[kept], "crowd").argmax(axis=1)
    assert np.mean(found == truth[kept]) == pytest.approx(score_of(model, "crowd", 3153)["accuracy"], abs=2e-3)


@pytest.mark.data
def test_it_reads_nine_in_ten_of_the_clear_faces_in_photographs(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIEN_HOME", str(shared / "weights"))
    photos = shared / "data" / "photos"
    pipeline = mien.Pipeline(detector="yunet")
    right = seen = 0
    for name, truth in json.loads((photos / "truth.json").read_text())["images"].items():
        if "error" in truth:
            continue
        faces = pipeline.analyze(photos / name)
        assert len(faces) == len(truth["faces"]), name
        for expected in truth["faces"]:
            if expected["expression"] is None:
                continue
            x, y, width, height = expected["box"]
            middle = np.array([x + width / 2, y + height / 2])
            nearest = min(faces, key=lambda face: np.hypot(*(middle - np.reshape(face.box, (2, 2)).mean(axis=0))))
            seen += 1
            right += nearest.top == expected["expression"]
    assert seen == 15
    assert right >= 14
