"""How well FER2013's labels can be foretold from ten annotators' votes, from a model, and from both together.

    python studies/label_ceiling.py DATA [--model mien-s]

A multinomial regression learns the label of PublicTest's faces from what is known of each, and is asked about faces
that it has not seen: ten folds, three divisions, copies of a picture on one side. A network that sees no more in a face
than the annotators and the model do cannot do better than both together: the rest is the labels' own chance.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mien.datasets.factory import load_dataset
from mien.datasets.lists import picture_digest
from mien.inference.classifier import load_model

Float = npt.NDArray[np.float64]
FOLDS, DIVISIONS = 10, 3
SMALLEST = 1e-4


def vote_features(votes: npt.NDArray[np.uint8]) -> Float:
    """Shares of the votes, their roots and logarithms: float64 (N, 30)."""
    counts = votes.astype(np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.hstack([shares, np.sqrt(shares), np.log(counts + 0.5)])


def foretell(features: Float, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], seed: int) -> Float:
    """Probability of each label (N, 7) for every face, by a regression that was fitted to other faces."""
    found = np.zeros((len(labels), 7))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for fitted, asked in folds.split(features, labels, groups):
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=2000))
        regression.fit(features[fitted], labels[fitted])
        found[np.ix_(asked, regression.classes_)] = regression.predict_proba(features[asked])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="mien-s")
    given = parser.parse_args()
    rows = load_dataset(given.data).part("validation")
    assert rows.votes is not None
    model = load_model(given.model)
    told = np.hstack([np.log(model.predict(rows.images, head) + SMALLEST) for head in ("fer2013", "crowd")])
    votes = vote_features(rows.votes)
    groups = np.unique([picture_digest(image) for image in rows.images], return_inverse=True)[1]
    numbers = np.arange(len(rows))
    print(f"{rows.name}, PublicTest, {len(rows):,} rows; {model.name} {model.version}\n")
    print("| what is known of the face | label right | log-loss, nats |\n|---|---:|---:|")
    for title, features in (
        ("the votes", votes),
        (f"{model.name}", told),
        ("both", np.hstack([votes, told])),
    ):
        answers = [foretell(features, rows.labels, groups, seed) for seed in range(DIVISIONS)]
        right = np.mean([np.mean(found.argmax(axis=1) == rows.labels) for found in answers])
        loss = np.mean([-np.log(np.maximum(found[numbers, rows.labels], SMALLEST)).mean() for found in answers])
        print(f"| {title} | {100 * right:.1f} % | {loss:.3f} |")


if __name__ == "__main__":
    main()
