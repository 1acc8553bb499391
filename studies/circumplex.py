"""Where annotators put each word on the circumplex, and what a model's words tell of valence, arousal and intensity.

    python studies/circumplex.py RATINGS.csv [--votes DATA] [--model mien-s]

RATINGS has a line for each of 25 raters of a face: `face, rater, word, valence, arousal`, as the public repository
kdoodoo/affectnetc25 has them (1,600 faces of AffectNet; FER+'s eight words; valence and arousal from -1 to 1). A linear
map of the vote shares to the mean rating is fitted to nine tenths of the faces and asked about the others, in turn; the
coefficients of all faces are those of `mien.reading.affect`. The spread of a face is the variance of the words' values
among its raters: how much they disagree about where it is.

With DATA (FER2013 with FER+ votes) a model's crowd head takes the place of the raters: its values against those of the
votes, its intensity against the share of annotators who saw any expression, and the number of annotators whose shares
would be as far off as the model's. That number is chosen on PublicTest and shown on PrivateTest.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.labels import CROWD, EIGHT, canonical
from mien.reading.affect import CIRCUMPLEX, estimate_affect
from mien.reading.classifier import load_model
from mien.workshop.data.base import read_csv_rows
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.fer2013 import distribution
from mien.workshop.evaluation.affect_metrics import METRICS, measure_values, moments, share_calibration_error

Float = npt.NDArray[np.float64]
FOLDS, SEED = 10, 0
SCALES = ("valence", "arousal")


@dataclass(frozen=True)
class Ratings:
    """Of N faces by R raters: words (N, R), index into `labels.EIGHT`; valence and arousal (N, R)."""

    words: npt.NDArray[np.int64]
    values: dict[str, Float]

    @property
    def shares(self) -> Float:
        """Of the raters who chose each word, (N, 8)."""
        return np.asarray(np.eye(len(EIGHT))[self.words].mean(axis=1))


def read_ratings(path: Path) -> Ratings:
    header, lines = read_csv_rows(path, "a csv of ratings")
    columns = {name: [row[header.index(name)] for _, row in lines] for name in ("face", "word", *SCALES)}
    # Raters of a face follow one another, 25 each.
    raters = columns["face"].count(columns["face"][0])
    words = np.array([EIGHT.index(canonical(word)) for word in columns["word"]]).reshape(-1, raters)
    return Ratings(words, {name: np.float64(columns[name]).reshape(-1, raters) for name in SCALES})


def fit(shares: Float, means: Float) -> Float:
    return np.asarray(np.linalg.lstsq(shares, means, rcond=None)[0])


def out_of_fold(shares: Float, means: Float) -> Float:
    """The mean rating of each face by a map that was fitted to others."""
    folds = np.random.default_rng(SEED).permutation(len(means)) % FOLDS
    found = np.zeros(len(means))
    for fold in range(FOLDS):
        found[folds == fold] = shares[folds == fold] @ fit(shares[folds != fold], means[folds != fold])
    return found


def spread(shares: Float, values: Float) -> Float:
    """Variance of the words' values among those who chose them, (N,)."""
    return np.asarray(shares @ values**2 - (shares @ values) ** 2)


def halves(values: Float) -> float:
    """Correlation of the mean of 12 raters with that of the other 13, mean of 100 divisions."""
    generator = np.random.default_rng(SEED)
    raters = values.shape[1]
    orders = [generator.permutation(raters) for _ in range(100)]
    cut = raters // 2
    return float(np.mean([pcc(values[:, o[:cut]].mean(axis=1), values[:, o[cut:]].mean(axis=1)) for o in orders]))


def with_interval(told: Float, truth: Float) -> str:
    figure = measure_values(told, truth)["pcc"]
    return f"{figure.value:.3f} ({figure.interval.low:.3f}–{figure.interval.high:.3f})"


def pcc(told: Float, truth: Float) -> float:
    return float(METRICS["pcc"](moments(told, truth).mean(axis=0)))


def rmse(told: Float, truth: Float) -> float:
    return float(METRICS["rmse"](moments(told, truth).mean(axis=0)))


def report_map(ratings: Ratings) -> None:
    shares = ratings.shares
    print(f"{len(shares):,} faces, {ratings.words.shape[1]} raters; {FOLDS} folds over faces\n")
    print("| scale | r, out of fold | RMSE | r of half the raters with the others | r of squared error and spread |")
    print("|---|---:|---:|---:|---:|")
    fitted: dict[str, Float] = {}
    for name, values in ratings.values.items():
        means = values.mean(axis=1)
        told, fitted[name] = out_of_fold(shares, means), fit(shares, means)
        spreads = spread(shares, fitted[name])
        figures = f"{with_interval(told, means)} | {rmse(told, means):.3f} | {halves(values):.3f}"
        print(f"| {name} | {figures} | {pcc((told - means) ** 2, spreads):+.2f} |")
    print("\n| word | valence | arousal | raters' answers with it |\n|---|---:|---:|---:|")
    for place, word in enumerate(EIGHT):
        numbers = " | ".join(f"{fitted[name][place]:+.3f}" for name in SCALES)
        print(f"| {word} | {numbers} | {int((ratings.words == place).sum()):,} |")
    shipped = np.array([CIRCUMPLEX[word] for word in EIGHT])
    same = np.allclose(shipped, np.column_stack([fitted[name] for name in SCALES]), atol=5e-4)
    print(f"\nthe coefficients in mien.reading.affect are {'these' if same else 'OTHERS: put these there'}")
    report_seven(ratings)


def report_seven(ratings: Ratings) -> None:
    """The same table for models without contempt: its share is left out and the others sum to 1."""
    known = EIGHT.index("contempt")
    rest = np.delete(ratings.shares, known, axis=1)
    kept = rest.sum(axis=1) > 0
    shares = rest[kept] / rest[kept].sum(axis=1, keepdims=True)
    for name, values in ratings.values.items():
        means = values.mean(axis=1)[kept]
        told = shares @ np.delete(fit(ratings.shares, values.mean(axis=1)), known)
        print(f"without contempt, {name}: r {pcc(told, means):.3f}, RMSE {rmse(told, means):.3f}")


def report_model(data: Path, name: str) -> None:
    dataset, model = load_dataset(data), load_model(name)
    print(f"\n{dataset.name}, {model.name} {model.version}, head crowd, against FER+ votes, five or more a face\n")
    print("| split | rows | valence r | RMSE | arousal r | RMSE | intensity r | RMSE | ECE | annotators |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    worth: dict[str, float] = {}
    for split in ("validation", "test"):
        rows = dataset.part(split)
        assert rows.votes is not None
        voted, enough = distribution(rows.votes)
        rows, truth = rows[enough], voted[enough]
        shares = model.predict(rows.images, "crowd")
        said, true = estimate_affect(shares, CROWD), estimate_affect(truth, CROWD)
        counts = rows.votes[:, : len(CROWD)].sum(axis=1).astype(np.float64)
        cells, found = [], []
        for place in range(len(SCALES)):
            x, y = said[:, place].astype(np.float64), true[:, place].astype(np.float64)
            cells.append(f"{with_interval(x, y)} | {rmse(x, y):.3f}")
            values = np.array([CIRCUMPLEX[word][place] for word in CROWD])
            # The votes are off themselves: the mean of n votes by the words' variance over n.
            noise = spread(truth.astype(np.float64), values) / np.maximum(counts - 1, 1)
            found.append(np.mean((x - y) ** 2 - noise) / spread(shares.astype(np.float64), values).mean())
        worth[split] = 1 / max(found)
        x, y = said[:, 2].astype(np.float64), true[:, 2].astype(np.float64)
        cells.append(
            f"{with_interval(x, y)} | {rmse(x, y):.3f} | {share_calibration_error(x, y):.3f} | {worth[split]:.1f}"
        )
        print(f"| {split} | {len(rows):,} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ratings", type=Path)
    parser.add_argument("--votes", type=Path, metavar="DATA", help="a data set with FER+ votes")
    parser.add_argument("--model", default="mien-s")
    given = parser.parse_args()
    report_map(read_ratings(given.ratings))
    if given.votes:
        report_model(given.votes, given.model)


if __name__ == "__main__":
    main()
