"""A small data set on disk with a table of issues about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mien.labels import SEVEN
from mien.workshop.curation.issues import Issue, IssueTable
from mien.workshop.curation.table import write_table
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import load_dataset

ROWS = 60


def make_data(folder: Path, *, votes: bool = True) -> Path:
    """An npz of 60 drawn faces: 50 in train, 5 in validation, 5 in test."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:48, :48]
    images = np.zeros((ROWS, 48, 48), np.uint8)
    for row in range(ROWS):
        face = 210 - 3 * np.hypot(x - 24, 1.2 * (y - 24)) + random.normal(0, 6, (48, 48))
        eyes = (np.hypot(x - 16, y - 19) < 3) | (np.hypot(x - 32, y - 19) < 3)
        bend = (row % 7 - 3) * 0.02 * (x - 24) ** 2
        mouth = (np.abs(y - 34 - bend) < 1.6) & (np.abs(x - 24) < 10)
        images[row] = np.clip(np.where(eyes | mouth, 40, face), 0, 255)
    images[41] = images[40]
    usage = np.repeat([0, 1, 2], [50, 5, 5])
    arrays = {"images": images, "label": np.arange(ROWS) % 7, "usage": usage}
    if votes:
        arrays["votes"] = random.integers(0, 6, (ROWS, 10))
    np.savez(folder / "faces.npz", **arrays)  # type: ignore[arg-type]
    return folder / "faces.npz"


def make_issues() -> tuple[Issue, ...]:
    """Two groups and twenty single suspects; every second one is to be relabelled."""
    issues = [
        Issue(1, "conflict", (40, 41), 1.0, "drop", "", "the same pixels, labelled sad in train and <b>fear</b>"),
        Issue(2, "duplicate", (30, 31, 32, 33), 0.9, "drop", "", "4 times the same pixels in train"),
    ]
    for row in range(20):
        label = SEVEN[(row + 3) % 7]
        score = round(0.99 - row / 100, 2)
        if row % 2:
            issues.append(Issue(3 + row, "dark", (row,), score, "drop", "", "mean grey value 12 of 255"))
        else:
            issues.append(Issue(3 + row, "label", (row,), score, "relabel", label, f"{label} is foretold at 96 %"))
    kinds = ["conflict", "duplicate", "label", "dark"]
    return tuple(sorted(issues, key=lambda issue: (kinds.index(issue.kind), -issue.score)))


def make_table(folder: Path, *, votes: bool = True) -> tuple[Path, IssueTable, FaceDataset]:
    """The table on disk as issues.csv, itself, and the data set."""
    data = make_data(folder, votes=votes)
    dataset = load_dataset(data, cache_dir=folder / "cache")
    random = np.random.default_rng(1)
    rows = np.arange(ROWS, dtype=np.int64)
    shares = random.dirichlet(np.full(7, 0.4), ROWS).astype(np.float32)
    neighbours = np.stack([(rows + step) % ROWS for step in (7, 14, 21, 28, 35)], axis=1)
    neighbours[5] = -1
    ids = {row: str(dataset.ids[row]) for row in range(ROWS)}
    table = IssueTable(
        make_issues(), str(data), dataset.name, dataset.sha256, len(dataset), ids, "toy 1.0",
        "2026-01-01T00:00:00+00:00", SEVEN, rows, shares, neighbours, ("no lettering was looked for",),
    )  # fmt: skip
    write_table(table, folder / "issues.csv")
    return folder / "issues.csv", table, dataset
