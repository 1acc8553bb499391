"""A study that runs in seconds, on stripes with a test split, and one entry that cannot be trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from stripes import make_dataset

from mien.workshop.data.base import FaceDataset
from mien.workshop.experiments.study_plan import Study, StudyOptions, load_study
from mien.workshop.experiments.study_run import Outcome, run_study

TOML = """
name = "toy"
title = "Two small networks"
question = "Which of two small networks learns stripes?"
method = "Adam, six epochs"
seeds = [0, 1]
[base.model]
arch = "shallow_cnn"
options = { widths = [4, 8], dense = 16 }
size = 16
[base.heads]
crowd = 0
[base.optim]
name = "adam"
lr = 0.01
[base.augment]
erase = 0
[base.fit]
epochs = 5
batch_size = 16
ema = 0.5
selection = "fer2013"
[[entries]]
name = "plain"
published = { accuracy = 0.5, macro_f1 = 0.4, note = "as <others> found" }
[[entries]]
name = "wider"
[entries.model]
options = { widths = [8, 16], dense = 32 }
"""

BROKEN = """
[[entries]]
name = "broken"
[entries.optim]
lr = 1e30
warmup_epochs = 0
"""


def stripes() -> FaceDataset:
    """140 rows: 112 to train, 14 to validate, 14 to test."""
    dataset = make_dataset(votes=False)
    rows = np.arange(len(dataset))
    return replace(dataset, split=np.where(rows % 10 == 9, 2, dataset.split).astype(np.int8))


def write_study(folder: Path, text: str = TOML) -> Study:
    (folder / "toy.toml").write_text(text)
    return load_study(folder / "toy.toml")


def run(study: Study, runs: Path, *, dataset: FaceDataset | None = None, **options: object) -> list[Outcome]:
    chosen = StudyOptions(device="cpu", **options)  # type: ignore[arg-type]
    return run_study(study, stripes() if dataset is None else dataset, runs, chosen)
