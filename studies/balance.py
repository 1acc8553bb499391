"""What reading faces as if their expressions were more equally frequent gives and takes, on several sets of faces.

    python studies/balance.py FER2013-FOLDER [WEB-FACES-FOLDER] [--model mien-s] [--share 0.1 …] [--geometric]

Per cent right and mean recall over the classes of head `crowd`, and its calibration error against the votes, for
balances from 0 to 1; labelled photos through detection and cropping, without disgust. With a share of head `fer2013`
its seven probabilities count for so much of crowd's, contempt aside, in the mean or in the geometric mean.
`--training` adds so many random rows of Training, which the network has learned from.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.labels import CROWD, SEVEN, project
from mien.reading.classifier import Model, load_model
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.data.fer2013 import distribution, majority
from mien.workshop.evaluation import calibration, metrics
from mien.workshop.evaluation.evaluate import answers
from mien.workshop.evaluation.models import load_faces
from mien.workshop.evaluation.sets import LabelledSet, labelled_sets

Float32 = npt.NDArray[np.float32]
BALANCES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
IN_SEVEN = [CROWD.index(name) for name in SEVEN]


def mixed(crowd: Float32, fer2013: Float32, share: float, *, geometric: bool) -> Float32:
    """Probabilities (N, 8) in which fer2013's (N, 7) count for a share of what crowd does not call contempt."""
    own = project(crowd, CROWD, SEVEN)
    if geometric:
        product = own ** (1 - share) * fer2013**share
        seven = product / product.sum(axis=1, keepdims=True)
    else:
        seven = (1 - share) * own + share * fer2013
    found = crowd.copy()
    found[:, IN_SEVEN] = seven * (1 - crowd[:, [CROWD.index("contempt")]])
    return found


def training_sets(dataset: FaceDataset, count: int) -> list[LabelledSet]:
    """Random rows of Training, by the votes' majority and by the votes."""
    assert dataset.votes is not None
    train = np.flatnonzero(dataset.split == SPLITS.index("train"))
    rows = np.sort(np.random.default_rng(0).choice(train, min(count, len(train)), replace=False))
    top, (shares, enough) = majority(dataset.votes), distribution(dataset.votes)
    clear, asked = rows[top[rows] >= 0], rows[enough[rows]]
    truth = shares[asked].argmax(axis=1).astype(np.int64)
    return [
        LabelledSet("crowd-train", "Training", "crowd", CROWD, "FER+ majority", clear, top[clear]),
        LabelledSet("crowd-votes-train", "Training", "crowd", CROWD, "FER+ votes", asked, truth, shares[asked]),
    ]


def cell(faces: LabelledSet, probabilities: Float32) -> str:
    """Per cent right, mean recall and calibration error on a set."""
    found = answers(faces, probabilities.astype(np.float64))
    confusion = metrics.confusion_matrix(faces.truth, found.argmax(axis=1), len(faces.classes))
    error = calibration.expected_calibration_error(found, faces.truth if faces.shares is None else faces.shares)
    right, recall = metrics.accuracy(confusion), metrics.balanced_accuracy(confusion)
    return f"{100 * float(right):.1f}, {100 * float(recall):.1f}, {error:.3f}"


def table(model: Model, dataset: FaceDataset, sets: list[LabelledSet], given: argparse.Namespace) -> list[str]:
    """Markdown, a row a set of faces and share, and a column a balance."""
    rows = np.unique(np.concatenate([faces.rows for faces in sets]))
    logits = model.run(model.prepare(dataset.images[rows]))
    crowd = [model.reading(balance=balance).calibrate(logits["crowd"], "crowd") for balance in BALANCES]
    fer2013 = model.calibrate(logits["fer2013"], "fer2013")
    lines = ["| faces | rows | share of fer2013 | " + " | ".join(f"{balance:g}" for balance in BALANCES) + " |"]
    lines.append("|---|---:|---:|" + "---:|" * len(BALANCES))
    for faces in sets:
        at = np.searchsorted(rows, faces.rows)
        for share in (0.0, *given.share):
            shown = [mixed(read, fer2013, share, geometric=given.geometric) if share else read for read in crowd]
            cells = " | ".join(cell(faces, read[at]) for read in shown)
            lines.append(f"| {faces.title}, {faces.labels_from} | {len(faces.rows):,} | {share:g} | {cells} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="FER2013's folder, then folders of labelled photos")
    parser.add_argument("--model", help="as `mien model evaluate` takes it; the default model otherwise")
    parser.add_argument("--share", type=float, action="append", default=[], help="of head fer2013, may be repeated")
    parser.add_argument("--geometric", action="store_true", help="mix by the geometric mean")
    parser.add_argument("--training", type=int, default=0, help="so many rows of Training as well")
    given = parser.parse_args()
    model = load_model(given.model)
    for path in given.data:
        dataset, photos, _ = load_faces(path, model.spec)
        sets, _ = labelled_sets(dataset, ["crowd"], without=() if photos is None else ("disgust",))
        sets = training_sets(dataset, given.training) + sets if given.training and photos is None else sets
        print(f"{model.title}, {dataset.name}: per cent right, mean recall in per cent, calibration error", end="\n\n")
        print("\n".join(table(model, dataset, sets, given)), end="\n\n", flush=True)


if __name__ == "__main__":
    main()
