"""What reading each face and its mirror image brings, and what it costs.

    python benchmarks/flip.py FER2013-FOLDER [WEB-FACES-FOLDER] [--model mien-s] [--out FILE.md] [--threads 1]

A table with the accuracy, log-loss and calibration error of the model by itself and with `--flip` on every set of
faces (of labelled photos without disgust, through detection and cropping), McNemar's p, and the time of one crop and
of crops in batches of 64, measured in turns. Logits are averaged; the last column has the accuracy of averaged
probabilities, so that PublicTest can tell whether that would be better.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from mien.reading.classifier import Model, load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.compare import ROUNDS, Comparison, compare, measure_in_turns
from mien.workshop.evaluation.evaluate import evaluate
from mien.workshop.evaluation.models import load_faces
from mien.workshop.evaluation.scores import ModelIdentity

Logits = dict[str, npt.NDArray[np.float32]]

SHOWN = ("validation", "test", "both", "majority")
"""Sets whose keys hold one of these words are shown."""


class Row(NamedTuple):
    """A set of faces with both readings, and the third for comparison."""

    comparison: Comparison
    averaged: float


class Views:
    """Logits of faces and of their mirror images; each batch is run once, however often it is asked for."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.known: dict[bytes, tuple[Logits, Logits]] = {}

    def __call__(self, crops: npt.NDArray[np.uint8]) -> tuple[Logits, Logits]:
        key = hashlib.sha256(crops.tobytes()).digest()
        if key not in self.known:
            faces = self.model.prepare(crops)
            self.known[key] = self.model.run(faces), self.model.run(np.ascontiguousarray(faces[..., ::-1]))
        return self.known[key]


def measure(model: Model, dataset: FaceDataset, without: tuple[str, ...]) -> list[Row]:
    """All sets with the model by itself, with averaged logits and with averaged probabilities."""
    views, calibrate = Views(model), model.calibrate

    def alone(crops: npt.NDArray[np.uint8], head: str) -> npt.NDArray[np.float32]:
        return calibrate(views(crops)[0][head], head)

    def flipped(crops: npt.NDArray[np.uint8], head: str) -> npt.NDArray[np.float32]:
        one, other = views(crops)
        return calibrate((one[head] + other[head]) / 2, head)

    def averaged(crops: npt.NDArray[np.uint8], head: str) -> npt.NDArray[np.float32]:
        one, other = views(crops)
        return (calibrate(one[head], head) + calibrate(other[head], head)) / 2

    first, second, third = (
        evaluate(predict, dataset, model=ModelIdentity(name), heads=model.heads, without=without)
        for name, predict in (("alone", alone), ("flipped", flipped), ("averaged", averaged))
    )
    shares = {scores.faces.key: scores.accuracy for scores in third.sets}
    return [Row(row, shares[row.faces.key]) for row in compare(first, second) if _shown(row)]


def _shown(row: Comparison) -> bool:
    return any(word in row.faces.key for word in SHOWN)


def table(rows: list[Row]) -> list[str]:
    """Markdown, a row a set."""
    lines = [
        "| head | faces | rows | accuracy | + flip | difference (95 %) | p | log-loss | ECE | probabilities averaged |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row, averaged in rows:
        one, two = row.scores
        low, high = (100 * end for end in row.difference)
        lines.append(
            f"| {row.faces.head} | {row.faces.title}, {row.faces.labels_from} | {one.rows:,} | {100 * row.first:.2f} | "
            f"{100 * row.second:.2f} | {100 * (row.second - row.first):+.2f} ({low:+.1f} to {high:+.1f}) | "
            f"{row.p_value:.3f} | {one.nll:.3f} → {two.nll:.3f} | {one.ece:.3f} → {two.ece:.3f} | "
            f"{100 * averaged:.2f} |"
        )
    return lines


def costs(model: Model, crops: npt.NDArray[np.uint8], rounds: int) -> list[str]:
    """Milliseconds a crop of both, in words."""
    alone, flipped = measure_in_turns([model.predict, model.reading(flip=True).predict], crops, rounds=rounds)
    return [
        f"One crop takes {alone.single:.2f} ms, with --flip {flipped.single:.2f} ms; in batches of 64 "
        f"{alone.batch:.2f} and {flipped.batch:.2f} ms (median of {rounds} rounds in turns)."
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="FER2013's folder, then folders of labelled photos")
    parser.add_argument("--model", help="as `mien model evaluate` takes it; the default model otherwise")
    parser.add_argument("--threads", type=int, default=1, help="of the classifier")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--out", type=Path, help="write the table there as well")
    arguments = parser.parse_args()
    model = load_model(arguments.model, threads=arguments.threads)
    lines = [
        f"{model.title}, {datetime.datetime.now(datetime.UTC).date()}, classifier on {arguments.threads} threads",
        "",
    ]
    crops = np.empty(0, np.uint8)
    for number, path in enumerate(arguments.data):
        dataset, photos, _ = load_faces(path, model.spec)
        crops = dataset.images[:64] if number == 0 else crops
        lines += [f"{dataset.name}:", "", *table(measure(model, dataset, () if photos is None else ("disgust",))), ""]
    lines += costs(model, crops, arguments.rounds)
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
