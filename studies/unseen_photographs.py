"""The bundled model on those test faces of `ferplus-curated` whose photograph its own training had not seen.

python studies/unseen_photographs.py FOLDER, where `mien data build ferplus-curated` wrote it.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from mien import load_model
from mien.labels import HEADS, SEVEN, project
from mien.workshop.data.factory import load_dataset
from mien.workshop.evaluation import metrics
from mien.workshop.evaluation.metrics import bootstrap_interval


def main(folder: Path) -> None:
    with (folder / "left-out.csv").open(newline="", encoding="utf-8") as file:
        copies = [row for row in csv.DictReader(file) if row["reason"] in ("leak", "duplicate")]
    seen = {row["detail"].split()[0].split("/")[-1] for row in copies if row["id"].startswith("Training_")}
    test = load_dataset(folder).part("test")
    unseen = np.array([name.split("/")[-1] not in seen for name in test.ids])
    answers = load_model("mien-s").predict(test.images, head="crowd")
    found = project(answers, HEADS["crowd"], SEVEN).argmax(axis=1)
    for title, rows in (("all", np.ones(len(test), bool)), ("unseen", unseen)):
        confusion = metrics.confusion_matrix(test.labels[rows], found[rows], len(SEVEN))
        low, high = bootstrap_interval(confusion, metrics.accuracy)
        print(
            f"{title}: {100 * metrics.accuracy(confusion):.2f} % ({100 * low:.1f}–{100 * high:.1f}) of {rows.sum():,}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
