"""Distillation: teachers are asked about the training rows once, and their students learn from the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date

import numpy as np
import numpy.typing as npt
import torch

from mien.artifact.input import prepare
from mien.errors import ConfigError, DataError
from mien.labels import HEADS
from mien.reading.classifier import Model
from mien.workshop.data.base import FaceDataset
from mien.workshop.training.augment import augment
from mien.workshop.training.config import AugmentConfig
from mien.workshop.training.opinions import Opinions, digests_of

_ROWS = 256


def ask_teachers(
    models: Sequence[Model],
    dataset: FaceDataset,
    *,
    views: int = 8,
    config: AugmentConfig | None = None,
    seed: int = 0,
    advance: Callable[[int, int], None] | None = None,
) -> Opinions:
    """The mean of all models' calibrated probabilities over several views of each training picture.

    The first view is the picture, the second its mirror image, all others are augmented at random: a teacher that has
    learned its own training pictures by heart is less sure of them in views that it has not seen.

    Args:
        models: one or more; a head is asked of all models that have it.
        dataset: rows of train.
        views: of each picture.
        config: of the augmented views; without erasing if None.
        seed: of the augmentation.
        advance: told how many of how many batches are done.

    Raises:
        DataError: no row of train.
        ConfigError: no model, or no view.
    """
    if not models or views < 1:
        raise ConfigError(f"teachers are asked by at least one view, and there is at least one; {views} views came")
    rows = dataset.part("train")
    if not len(rows):
        raise DataError(f"{dataset.name}: teachers are asked about rows of train, and there is none")
    config = AugmentConfig(erase=0) if config is None else config
    generator = torch.Generator().manual_seed(seed)
    sums = {
        head: np.zeros((len(rows), len(HEADS[head])), np.float64)
        for head in HEADS
        if any(head in model.heads for model in models)
    }
    asked = {head: views * sum(head in model.heads for model in models) for head in sums}
    starts = range(0, len(rows), _ROWS)
    for done, start in enumerate(starts, 1):
        part = rows.images[start : start + _ROWS]
        for model in models:
            faces = prepare(part, model.spec)
            for view in _views(faces, views, config, generator):
                logits = model.run(view)
                for head in logits:
                    sums[head][start : start + _ROWS] += model.calibrate(logits[head], head)
        if advance:
            advance(done, len(starts))
    digests, order = np.unique(digests_of(rows), return_index=True)
    told = {
        "teachers": [{"name": m.name, "version": m.version, "sha256": m.manifest.sha256} for m in models],
        "views": views, "seed": seed, "augment": config.model_dump(mode="json"), "created": date.today().isoformat(),
        "data": dataset.name, "rows": len(rows),
    }  # fmt: skip
    return Opinions(digests, {head: (sums[head][order] / asked[head]).astype(np.float32) for head in sums}, told)


def _views(
    faces: npt.NDArray[np.uint8], views: int, config: AugmentConfig, generator: torch.Generator
) -> Iterator[npt.NDArray[np.uint8]]:
    """Faces uint8 (N, C, H, W) as they are, mirrored, and augmented."""
    yield faces
    if views > 1:
        yield np.ascontiguousarray(faces[..., ::-1])
    for _ in range(views - 2):
        yield augment(torch.from_numpy(faces).float(), config, generator).round().byte().numpy()
