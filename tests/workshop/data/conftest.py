"""Small data sets in the forms that the real ones have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from mien.workshop.data.base import FaceDataset

USAGES = ("Training", "PublicTest", "PrivateTest")
Row = tuple[str, str, str]


def make_rows(n: int = 12, seed: int = 0) -> list[Row]:
    """Emotion, pixels and Usage as text: half Training, then PublicTest and PrivateTest."""
    generator = np.random.default_rng(seed)
    usages = [USAGES[0]] * (n // 2) + [USAGES[1]] * (n // 4) + [USAGES[2]] * (n - n // 2 - n // 4)
    return [(str(i % 7), " ".join(map(str, generator.integers(0, 256, 2304))), usage) for i, usage in enumerate(usages)]


@pytest.fixture
def rows() -> list[Row]:
    return make_rows()


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """Writes rows as the challenge's csv and gives its path."""

    def write(rows: Sequence[Sequence[str]], name: str = "fer2013.csv", header: str = "emotion,pixels,Usage") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
        return path

    return write


@pytest.fixture
def write_votes(tmp_path: Path) -> Callable[..., Path]:
    """Writes FER+ votes, a list of ten numbers for each Usage, and gives the path."""

    def write(usages: Sequence[str], votes: Sequence[Sequence[object]], name: str = "ferplus.csv") -> Path:
        path = tmp_path / name
        header = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
        lines = [f"{usage},x.png,{','.join(map(str, row))}" for usage, row in zip(usages, votes, strict=True)]
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return write


@pytest.fixture
def faces() -> FaceDataset:
    """A hundred faces of noise, all in train, of unequal classes."""
    generator = np.random.default_rng(1)
    labels = np.repeat(np.arange(7), [30, 5, 20, 20, 10, 10, 5]).astype(np.int64)
    return FaceDataset(
        name="noise",
        images=generator.integers(0, 256, (100, 48, 48), dtype=np.uint8),
        labels=labels,
        split=np.zeros(100, np.int8),
        ids=np.arange(100).astype(np.str_),
    )
