"""How well FER2013's labels can be foretold from ten annotators' votes, from a model, and from both together.

    python studies/label_ceiling.py DATA [--model mien-s] [--photos web_faces/]

A multinomial regression learns the label of PublicTest's faces from what is known of each, and is asked about faces
that it has not seen: ten folds, three divisions, copies of a picture on one side. A network that sees no more in a face
than the annotators and the model do cannot do better than both together: the rest is the labels' own chance. Photos
from elsewhere, without disgust, are asked about in the same way: what the model says there, and what a regression
makes of it that has learned from other photos with those labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mien.labels import SEVEN, project
from mien.reading.classifier import Model, load_model
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.lists import picture_digest
from mien.workshop.evaluation.models import load_faces

Float = npt.NDArray[np.float64]
FOLDS, DIVISIONS = 10, 3
SMALLEST = 1e-4
FIXED = LogisticRegression(C=0.02, max_iter=2000)
CHOOSING = GridSearchCV(LogisticRegression(max_iter=2000), {"C": (0.02, 0.1, 0.5, 2.0)}, scoring="neg_log_loss", cv=5)
"""Photos are few, and what is known of them is 15 numbers: each regression chooses its penalty by folds of its own."""


def vote_features(votes: npt.NDArray[np.uint8]) -> Float:
    """Shares of the votes, their roots and logarithms: float64 (N, 30)."""
    counts = votes.astype(np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.hstack([shares, np.sqrt(shares), np.log(counts + 0.5)])


def foretell(
    kind: BaseEstimator, features: Float, labels: npt.NDArray[np.int64], images: npt.NDArray[np.uint8]
) -> list[Float]:
    """Probability of each label (N, 7) for every face, by regressions fitted to other faces; one array a division."""
    groups = np.unique([picture_digest(image) for image in images], return_inverse=True)[1]
    divisions = []
    for seed in range(DIVISIONS):
        found = np.zeros((len(labels), 7))
        folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        for fitted, asked in folds.split(features, labels, groups):
            regression = make_pipeline(StandardScaler(), clone(kind))
            regression.fit(features[fitted], labels[fitted])
            found[np.ix_(asked, regression.classes_)] = regression.predict_proba(features[asked])
        divisions.append(found)
    return divisions


def describe(model: Model, images: npt.NDArray[np.uint8]) -> Float:
    """What the model says of faces, as logarithms: float64 (N, 15)."""
    return np.hstack([np.log(model.predict(images, head) + SMALLEST) for head in ("fer2013", "crowd")])


def report_photos(model: Model, folder: Path) -> None:
    """Per cent right, and mean recall, of the model and of a regression that knows the labels of other photos."""
    rows = load_faces(folder, model.spec)[0]
    rows = rows[np.flatnonzero(rows.labels != SEVEN.index("disgust"))]
    said = project(model.predict(rows.images, "crowd"), model.heads["crowd"], SEVEN)
    print(f"\n{rows.name}, without disgust, {len(rows):,} faces that were found; {model.name} {model.version}\n")
    print("| who says it | label right | mean recall |\n|---|---:|---:|")
    for title, answers in (
        ("the model", [said]),
        ("a regression on what it says", foretell(CHOOSING, describe(model, rows.images), rows.labels, rows.images)),
    ):
        right = [found.argmax(axis=1) == rows.labels for found in answers]
        recalls = [np.mean([one[rows.labels == label].mean() for label in np.unique(rows.labels)]) for one in right]
        print(f"| {title} | {100 * np.mean(right):.1f} % | {100 * np.mean(recalls):.1f} % |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="mien-s")
    parser.add_argument("--photos", type=Path, help="a folder of labelled photos")
    given = parser.parse_args()
    rows = load_dataset(given.data).part("validation")
    assert rows.votes is not None
    model = load_model(given.model)
    told = describe(model, rows.images)
    votes = vote_features(rows.votes)
    numbers = np.arange(len(rows))
    print(f"{rows.name}, PublicTest, {len(rows):,} rows; {model.name} {model.version}\n")
    print("| what is known of the face | label right | log-loss, nats |\n|---|---:|---:|")
    for title, features in (
        ("the votes", votes),
        (f"{model.name}", told),
        ("both", np.hstack([votes, told])),
    ):
        answers = foretell(FIXED, features, rows.labels, rows.images)
        right = np.mean([np.mean(found.argmax(axis=1) == rows.labels) for found in answers])
        loss = np.mean([-np.log(np.maximum(found[numbers, rows.labels], SMALLEST)).mean() for found in answers])
        print(f"| {title} | {100 * right:.1f} % | {loss:.3f} |")
    if given.photos:
        report_photos(model, given.photos)


if __name__ == "__main__":
    main()
