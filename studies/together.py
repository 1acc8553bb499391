"""What models reach together: the mean of their probabilities on PublicTest, which tells whether they err alike.

    python studies/together.py DATA mien-s mien-xs [MODEL …] [--mirror MODEL] [--share 0.8 --share 0.2]

Prints each model, and all of them together, with the log-loss of FER2013's labels in nats; --mirror adds a model's
answers to the mirrored faces, and may be repeated; --share, once for each, weighs them, all alike if not given.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mien.reading.classifier import load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.fer2013 import majority

HEADS = ("fer2013", "crowd")
Float32 = npt.NDArray[np.float32]


def answers(name: str, rows: FaceDataset, *, mirrored: bool = False) -> list[Float32]:
    """Probabilities (N, K) of both heads."""
    model = load_model(name)
    faces = np.ascontiguousarray(rows.images[:, :, ::-1]) if mirrored else rows.images
    return [model.predict(faces, head) for head in HEADS]


def row(title: str, found: list[Float32], rows: FaceDataset) -> str:
    """A line of the table: per cent right by FER2013's labels, and by the crowd's majority where there is one."""
    assert rows.votes is not None
    truth = majority(rows.votes)
    labels = np.mean(found[0].argmax(axis=1) == rows.labels)
    crowd = np.mean(found[1].argmax(axis=1)[truth >= 0] == truth[truth >= 0])
    loss = -np.mean(np.log(np.maximum(found[0][np.arange(len(rows)), rows.labels], 1e-9)))
    return f"| {title} | {100 * labels:.2f} | {loss:.3f} | {100 * crowd:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--mirror", action="append", default=[])
    parser.add_argument("--share", action="append", type=float, default=[])
    given = parser.parse_args()
    if given.share and len(given.share) != len(given.models) + len(given.mirror):
        parser.error(f"{len(given.share)} shares for {len(given.models) + len(given.mirror)} sets of answers")
    rows = load_dataset(given.data).part("validation")
    found = {name: answers(name, rows) for name in given.models}
    found |= {f"{name}, mirrored": answers(name, rows, mirrored=True) for name in given.mirror}
    print(f"{rows.name}, PublicTest, {len(rows):,} rows\n")
    print("| | fer2013, % | its log-loss | crowd, % |\n|---|---:|---:|---:|")
    for title, one in found.items():
        print(row(title, one, rows))
    mixed = [np.average(heads, axis=0, weights=given.share or None) for heads in zip(*found.values(), strict=True)]
    print(row("together", mixed, rows))


if __name__ == "__main__":
    main()
