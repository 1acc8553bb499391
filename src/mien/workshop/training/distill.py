"""Distillation: teachers predict the training rows once, into a file, and students learn from those soft labels."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mien.arrays import Bool, Float32, UInt8, UInt64
from mien.artifact.input import prepare
from mien.errors import ConfigError, DataError
from mien.files import read_npz, write_whole
from mien.labels import HEADS
from mien.reading.classifier import Model, load_model
from mien.workshop.data.base import FaceDataset
from mien.workshop.data.factory import as_dataset
from mien.workshop.data.lists import picture_digest
from mien.workshop.progress import OnProgress, no_progress
from mien.workshop.training.augment import augment
from mien.workshop.training.config import AugmentConfig

_ROWS = 256

FORMAT = 1


def save_teacher_predictions(
    teachers: Sequence[Model | Path | str],
    data: FaceDataset | Path | str,
    out: Path | str,
    *,
    views: int = 8,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> TeacherPredictions:
    """Have teachers predict the training rows, and write their mean for students: `[distill] teachers` names the file.

    Args:
        teachers: models, or what `load_model` takes.
        data: what students will be trained on.
        out: the .npz to write.
        views, seed, on_progress: see `ask_teachers`.

    Raises:
        ConfigError, DataError: see `ask_teachers`.
        ArtifactError: a model is damaged.
    """
    models = [model if isinstance(model, Model) else load_model(str(model)) for model in teachers]
    predictions = ask_teachers(models, as_dataset(data), views=views, seed=seed, on_progress=on_progress)
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_predictions(path, predictions)
    return predictions


def ask_teachers(
    models: Sequence[Model],
    dataset: FaceDataset,
    *,
    views: int = 8,
    config: AugmentConfig | None = None,
    seed: int = 0,
    on_progress: OnProgress = no_progress,
) -> TeacherPredictions:
    """The mean of all models' calibrated probabilities over several views of each training picture.

    The first view is the picture, the second its mirror image, all others are augmented at random: a teacher that has
    memorized its own training pictures is less certain of them in views that it has not seen.

    Args:
        models: one or more; a head is asked of all models that have it.
        dataset: rows of train.
        views: of each picture.
        config: of the augmented views; without erasing if None.
        seed: of the augmentation.
        on_progress: called as `on_progress(done, total)` after each batch.

    Raises:
        DataError: no row of train.
        ConfigError: no model, or no view.
    """
    if not models or views < 1:
        raise ConfigError(f"expected at least one teacher and one view, got {len(models)} and {views}")
    rows = dataset.part("train")
    if not len(rows):
        raise DataError(f"{dataset.name}: no row of train for the teachers to predict")
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
                for head in model.heads:
                    sums[head][start : start + _ROWS] += model.calibrate(logits[head], head)
        on_progress(done, len(starts))
    # Sorted, because `find` searches by halving; of identical pictures the first one stays.
    digests, order = np.unique(digests_of(rows), return_index=True)
    about = {
        "teachers": [{"name": m.name, "version": m.version, "sha256": m.manifest.sha256} for m in models],
        "views": views, "seed": seed, "augment": config.model_dump(mode="json"), "created": date.today().isoformat(),
        "data": dataset.name, "rows": len(rows),
    }  # fmt: skip
    return TeacherPredictions(
        digests, {head: (sums[head][order] / asked[head]).astype(np.float32) for head in sums}, about
    )


def _views(faces: UInt8, views: int, config: AugmentConfig, generator: torch.Generator) -> Iterator[UInt8]:
    """Faces uint8 (N, C, H, W) as they are, mirrored, and augmented."""
    yield faces
    if views > 1:
        yield np.ascontiguousarray(faces[..., ::-1])
    for _ in range(views - 2):
        yield augment(torch.from_numpy(faces).float(), config, generator).round().byte().numpy()


@dataclass(frozen=True)
class TeacherPredictions:
    """Teachers' probabilities for pictures, which are identified by their digests.

    Args:
        digests: uint64 (N,), see `data.lists.picture_digest`, ascending.
        heads: probabilities of each head, float32 (N, K), rows sum to 1.
        about: who the teachers were and how they were asked.
    """

    digests: UInt64
    heads: dict[str, Float32]
    about: dict[str, Any] = field(default_factory=dict)

    def find(self, head: str, digests: UInt64) -> tuple[Float32, Bool]:
        """Probabilities float32 (M, K) of pictures (M,), and which of them are known; the others' rows are 0."""
        # A digest above all others is placed behind the last.
        place = np.searchsorted(self.digests, digests).clip(max=max(len(self.digests) - 1, 0))
        known = self.digests[place] == digests if len(self.digests) else np.zeros(len(digests), bool)
        return np.where(known[:, None], self.heads[head][place], np.float32(0)), known


def digests_of(rows: FaceDataset) -> UInt64:
    """The digest of each picture, uint64 (N,)."""
    return np.array([int(picture_digest(image), 16) for image in rows.images], np.uint64)


def write_predictions(path: Path, predictions: TeacherPredictions) -> None:
    """Write them as npz in half precision; an interrupted write leaves no file."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {head: values.astype(np.float16) for head, values in predictions.heads.items()}
    header = json.dumps({"format": FORMAT, **predictions.about})
    np.savez_compressed(buffer, digests=predictions.digests, header=np.array(header), **arrays)
    write_whole(path, buffer.getvalue())


def read_predictions(path: Path) -> TeacherPredictions:
    """Read what `write_predictions` wrote.

    Raises:
        ConfigError: no such file.
        DataError: it is another kind of file, or damaged.
    """
    try:
        arrays = read_npz(path)
        about = json.loads(str(arrays.pop("header")))
        digests = arrays.pop("digests")
        if about.pop("format") != FORMAT or digests.dtype != np.uint64 or not arrays.keys() <= HEADS.keys():
            raise ValueError("another format")
        heads = {head: values.astype(np.float32) for head, values in arrays.items()}
        if any(values.shape != (len(digests), len(HEADS[head])) for head, values in heads.items()):
            raise ValueError("shapes that do not fit one another")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file: expected teacher predictions from mien model distill") from error
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path}: not a complete file of teacher predictions ({error}): write it again with mien model distill"
        ) from error
    return TeacherPredictions(digests, heads, about)


def hash_predictions(path: Path) -> str:
    """SHA-256 of the predictions in a file, part of the identity of a run that learns from them."""
    predictions = read_predictions(path)
    # Of the arrays, not of the file, whose header holds a date.
    digest = hashlib.sha256(predictions.digests.tobytes())
    for head in sorted(predictions.heads):
        digest.update(head.encode() + np.ascontiguousarray(predictions.heads[head]).tobytes())
    return digest.hexdigest()


def mix_predictions(
    targets: dict[str, torch.Tensor], predictions: Sequence[TeacherPredictions], rows: FaceDataset, weight: float
) -> dict[str, torch.Tensor]:
    """Mix the teachers' mean prediction into each head's targets (N, K), with this weight (Hinton et al. 2015).

    A row without a target learns from the teachers alone; a row that they did not predict keeps its target.

    Raises:
        DataError: the teachers predicted none of these rows, but other pictures.
    """
    if not predictions:
        return targets
    digests = digests_of(rows)
    mixed, met = dict(targets), 0
    for head, target in targets.items():
        found = [teacher.find(head, digests) for teacher in predictions if head in teacher.heads]
        if not found:
            continue
        times = np.sum([known for _, known in found], axis=0)
        mean = np.sum([values for values, _ in found], axis=0) / np.maximum(times, 1)[:, None]
        known = torch.from_numpy(times > 0).unsqueeze(1)
        mixed[head] = torch.where(known, (1 - weight) * target + weight * torch.from_numpy(mean).float(), target)
        met += int(known.sum())
    if not met:
        raise DataError(f"{rows.name}: none of its training pictures is in the files of distill.teachers")
    return mixed
