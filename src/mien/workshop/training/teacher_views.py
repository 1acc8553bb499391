"""Views of the training faces that anybody can make again, so that a student sees exactly what its teacher answered.

A view is an augmented copy of every training picture, decided by the pictures and a seed alone. Teachers answer to the
view, not to the picture, and the student learns the answer with that very view before its eyes (Beyer et al.,
"Knowledge distillation: A good teacher is patient and consistent", 2022).
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.arrays import Float32, Int64, UInt8, UInt64
from mien.errors import ConfigError, DataError
from mien.files import read_npz, write_whole
from mien.labels import HEADS
from mien.workshop.training.augment import augment, blend
from mien.workshop.training.config import AugmentConfig

Targets = dict[str, torch.Tensor]

FORMAT = 1
STEP = 1 / 16
"""Logits are stored as so many steps below the highest one of their row, in a byte: 15.9 below it at most."""


@dataclass(frozen=True)
class ViewSpec:
    """How views are made.

    Args:
        augment: how far; mixup and CutMix are for the views with odd numbers.
        seed: of all random numbers.
        size: side of the faces, pixels; a student of another input has them resized afterwards.
        block: faces that are drawn for together. Another number gives other views.
    """

    augment: AugmentConfig
    seed: int = 0
    size: int = 64
    block: int = 256


def view_order(digests: UInt64) -> Int64:
    """The rows in the order in which views are made, whatever the order of the data set: by digest, (N,)."""
    return np.argsort(digests, kind="stable")


def order_digest(digests: UInt64) -> str:
    """SHA-256 of which pictures there are, by which answers know the faces that they were given to."""
    return hashlib.sha256(np.sort(digests).tobytes()).hexdigest()


def iter_view(
    faces: torch.Tensor, targets: Targets, spec: ViewSpec, view: int, *, start: int = 0
) -> Iterator[tuple[torch.Tensor, Targets]]:
    """One view of all faces, block by block.

    Args:
        faces: uint8 (N, C, S, S) of `spec.size` in the order of `view_order`.
        targets: of each head (N, K), which mixup and CutMix mix; may be empty.
        spec: how views are made.
        view: which one, from 0.
        start: the first block.

    Yields:
        Faces uint8 (B, C, S, S), and their targets.
    """
    plain = spec.augment.model_copy(update={"mixup": 0.0, "cutmix": 0.0})
    for block in range(start, -(-len(faces) // spec.block)):
        rows = slice(block * spec.block, (block + 1) * spec.block)
        # Random numbers of its own for each block, so that a teacher can begin with any of them.
        state = np.random.SeedSequence([spec.seed, view, block]).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> 1))
        part = {head: values[rows] for head, values in targets.items()}
        seen = augment(faces[rows].float(), plain, generator)
        if view % 2:
            seen, part = blend(seen, part, spec.augment, generator)
        yield seen.round().clamp(0, 255).byte(), part


@dataclass(frozen=True)
class ViewAnswers:
    """A teacher's answers to some views.

    Args:
        head: which head of the student learns from them.
        spec: how the views were made.
        pictures: see `order_digest`.
        views: their numbers, (V,).
        counts: how many faces of each view were answered, from the first in their order on, (V,).
        steps: uint8 (V, N, K), `STEP`s below the highest logit of the row.
        told: who the teacher was.
    """

    head: str
    spec: ViewSpec
    pictures: str
    views: tuple[int, ...]
    counts: tuple[int, ...]
    steps: UInt8
    told: dict[str, Any] = field(default_factory=dict)

    def probabilities(self, view: int, temperature: float) -> Float32:
        """Float32 (M, K) for the faces of a view that were answered, softmax(logits / temperature)."""
        place = self.views.index(view)
        answered = self.steps[place, : self.counts[place]].astype(np.float32)
        # A softmax takes no notice of what is added to all logits, so steps below the highest are enough.
        powers = np.exp(-STEP / temperature * answered)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


def quantise(logits: npt.ArrayLike) -> UInt8:
    """Logits (…, K) as steps below their highest one, uint8.

    >>> quantise([[2.0, 1.0, -40.0]])
    array([[  0,  16, 255]], dtype=uint8)
    """
    values = np.asarray(logits, np.float32)
    steps: UInt8 = ((values.max(axis=-1, keepdims=True) - values) / STEP).round().clip(0, 255).astype(np.uint8)
    return steps


def write_answers(path: Path, answers: ViewAnswers) -> None:
    """Write them as npz, whole or not at all."""
    header = {
        "format": FORMAT, "head": answers.head, "pictures": answers.pictures, "views": list(answers.views),
        "counts": list(answers.counts),
        "seed": answers.spec.seed, "size": answers.spec.size, "block": answers.spec.block,
        "augment": answers.spec.augment.model_dump(mode="json"), "told": answers.told,
    }  # fmt: skip
    buffer = io.BytesIO()
    # Planes of one class compress better than rows of all.
    np.savez_compressed(buffer, header=np.array(json.dumps(header)), steps=answers.steps.transpose(0, 2, 1))
    write_whole(path, buffer.getvalue())


def read_answers(path: Path) -> ViewAnswers:
    """Read what `write_answers` wrote.

    Raises:
        ConfigError: no such file.
        DataError: another kind of file, or a damaged one.
    """
    try:
        arrays = read_npz(path, ("header", "steps"))
        header, steps = json.loads(str(arrays["header"])), arrays["steps"].transpose(0, 2, 1)
        if header["format"] != FORMAT:
            raise ValueError("another format")
        spec = ViewSpec(
            AugmentConfig.model_validate(header["augment"]),
            int(header["seed"]),
            int(header["size"]),
            int(header["block"]),
        )
        head, views = str(header["head"]), tuple(int(view) for view in header["views"])
        counts = tuple(int(count) for count in header["counts"])
        if len(counts) != len(views) or not all(0 <= count <= steps.shape[1] for count in counts):
            raise ValueError("more answers than faces")
        if steps.dtype != np.uint8 or len(steps) != len(views) or steps.shape[2] != len(HEADS[head]):
            raise ValueError("shapes that do not fit one another")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file of answers to views") from error
    except (OSError, ValueError, KeyError, EOFError, TypeError) as error:
        raise DataError(f"{path}: not a whole file of a teacher's answers to views ({error})") from error
    return ViewAnswers(head, spec, str(header["pictures"]), views, counts, steps, dict(header["told"]))


def hash_answers(path: Path) -> str:
    """SHA-256 of what `read_answers` would read but for `told`, by which a run knows it again."""
    answers = read_answers(path)
    facts = (answers.head, answers.spec, answers.pictures, answers.views, answers.counts)
    return hashlib.sha256(repr(facts).encode() + np.ascontiguousarray(answers.steps).tobytes()).hexdigest()


def join_answers(files: Sequence[ViewAnswers]) -> ViewAnswers:
    """The same teacher's answers to more views.

    Raises:
        DataError: they were given to other pictures or views made otherwise, or a view is there twice.
    """
    first = files[0]
    for other in files[1:]:
        if (other.head, other.spec, other.pictures) != (first.head, first.spec, first.pictures):
            raise DataError("answers to views of other pictures, or made otherwise, cannot be joined")
    views = tuple(view for file in files for view in file.views)
    if twice := sorted({view for view in views if views.count(view) > 1}):
        raise DataError(f"answers to the same view came twice: {', '.join(map(str, twice))}")
    counts = tuple(count for file in files for count in file.counts)
    steps = np.concatenate([file.steps for file in files])
    return ViewAnswers(first.head, first.spec, first.pictures, views, counts, steps, first.told)


@dataclass(frozen=True)
class Replay:
    """The answered views of a training's rows, made again for its epochs.

    Args:
        answers: to the views.
        faces: uint8 (N, C, S, S) of the views' size, in their order.
        targets: of each head (N, K), in the same order; the answers are mixed into one of them.
        order: the row of each face, (N,).
        weight: of the answers.
        temperature: of the answers.
        epochs: of the training.
    """

    answers: ViewAnswers
    faces: torch.Tensor
    targets: Targets
    order: torch.Tensor
    weight: float
    temperature: float
    epochs: int

    def epoch(self, epoch: int) -> tuple[torch.Tensor, Targets]:
        """Faces uint8 (N, C, S, S) and targets in the order of the rows; every view has its turn.

        Mixed pairs come before whole faces, so that the last epochs are of faces as a network meets them.
        """
        views = sorted(self.answers.views, key=lambda view: (view % 2 == 0, view))
        view = views[(epoch - self.epochs) % len(views)]
        parts = list(iter_view(self.faces, self.targets, self.answers.spec, view))
        faces = torch.empty_like(self.faces)
        faces[self.order] = torch.cat([seen for seen, _ in parts])
        said = torch.from_numpy(self.answers.probabilities(view, self.temperature))
        targets = {}
        for head in self.targets:
            meant = torch.cat([part[head] for _, part in parts])
            if head == self.answers.head:
                answered = meant[: len(said)]
                meant = torch.cat([(1 - self.weight) * answered + self.weight * said, meant[len(said) :]])
            targets[head] = torch.empty_like(meant)
            targets[head][self.order] = meant
        return faces, targets
