"""A search as it was asked for, and the rows that it may see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import load_dataset
from mien.workshop.data.splits import HELD_OUT, hold_out
from mien.workshop.experiments.search.plan import Search, draw_rows


@dataclass(frozen=True)
class Job:
    """One `mien tune`: what to search on which data, where, and how many trials the study shall have in the end."""

    search: Search
    data: Path
    out: Path
    storage: str
    trials: int
    device: str = "auto"
    any_size: bool = False


def load_rows(job: Job) -> FaceDataset:
    """The rows that the trials see: the subset and the validation rows, never a test row."""
    dataset = load_dataset(job.data, check_counts=not job.any_size)
    if not len(dataset.part("validation")):
        dataset = hold_out(dataset, HELD_OUT, seed=job.search.search.seed)
    return draw_rows(dataset, job.search.search.subset, job.search.search.seed)
