"""What reading faces as if their expressions were more equally frequent gives and takes, on several sets of faces.

python studies/balance.py FER2013-FOLDER [WEB-FACES-FOLDER] [--model mien-s]

Per cent right and mean recall over the classes of head `crowd`, and its calibration error against the votes, for
balances from 0 to 1; labelled photos through detection and cropping, without disgust.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from mien.reading.classifier import Model, load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation import metrics
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.models import load_faces
from mien.workshop.evaluation.scores import Evaluation, ModelIdentity

BALANCES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)


def measure(model: Model, dataset: FaceDataset, without: tuple[str, ...]) -> list[Evaluation]:
    """One evaluation a balance."""
    return [
        evaluate(
            model.reading(balance=balance).predict,
            dataset,
            model=ModelIdentity(model.title),
            heads={"crowd": model.heads["crowd"]},
            without=without,
        )
        for balance in BALANCES
    ]


def table(found: list[Evaluation]) -> list[str]:
    """Markdown, a row a set of faces and a column a balance: per cent right, mean recall, calibration error."""
    lines = ["| faces | rows | " + " | ".join(f"{balance:g}" for balance in BALANCES) + " |"]
    lines.append("|---|---:|" + "---:|" * len(BALANCES))
    for column in zip(*(evaluation.sets for evaluation in found), strict=True):
        faces = column[0].faces
        cells = (
            f"{100 * scores.accuracy:.1f}, {100 * metrics.balanced_accuracy(scores.confusion):.1f}, {scores.ece:.3f}"
            for scores in column
        )
        lines.append(f"| {faces.title}, {faces.labels_from} | {column[0].rows:,} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="FER2013's folder, then folders of labelled photos")
    parser.add_argument("--model", help="as `mien model evaluate` takes it; the default model otherwise")
    arguments = parser.parse_args()
    model = load_model(arguments.model)
    for path in arguments.data:
        dataset, photos, _ = load_faces(path, model.spec)
        print(f"{model.title}, {dataset.name}: per cent right, mean recall in per cent, calibration error", end="\n\n")
        print("\n".join(table(measure(model, dataset, () if photos is None else ("disgust",)))), end="\n\n")


if __name__ == "__main__":
    main()
