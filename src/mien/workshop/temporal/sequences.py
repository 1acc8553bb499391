"""Clips as steps: found, cropped and described once by the frame network, kept on disk, brought to a fixed rate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mien.arrays import Float32, Float64, Int64, UInt8
from mien.artifact.artifact import load_artifact
from mien.artifact.catalog import resolve
from mien.artifact.input import prepare
from mien.errors import DataError
from mien.reading.classifier import EMBEDDING, Model
from mien.reading.pipeline import Pipeline
from mien.reading.streaming import iter_faces
from mien.reading.temporal import Clock
from mien.structures import Frame
from mien.workshop.curation.similarity import with_embedding
from mien.workshop.data import cache
from mien.workshop.data.base import NO_LABEL
from mien.workshop.data.clips import Clip, ClipDataset, iter_frames
from mien.workshop.progress import OnProgress
from mien.workshop.temporal.clip_config import ClipsConfig, TemporalConfig
from mien.workshop.training.augment import augment

FORM = 1
"""Raised when what is kept on disk changes."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What the frame network sees in the frames of a clip.

    Args:
        times_s: float64 (T,).
        frames: number of each frame in the clip, int64 (T,); frames without a face are missing.
        vectors: of each view of the clip, float32 (V, T, F); the first is of the clip as it is.
        logits: of the default head, of the first view, float32 (T, K).
        crops: prepared faces of each view, uint8 (V, T, C, H, W), where they are kept.
    """

    times_s: Float64
    frames: Int64
    vectors: Float32
    logits: Float32
    crops: UInt8


@dataclass(frozen=True, eq=False)
class StepSequence:
    """Steps of one clip, without a gap.

    Args:
        clip: number of the clip in its data set.
        steps: of each view, (V, K, …): float32 features or uint8 crops.
        label: of the clip, or -1.
        labels: int64 (K,), -1 where there is none.
        values: valence and arousal, float32 (K, 2), NaN where there is none.
    """

    clip: int
    steps: npt.NDArray[Any]
    label: int
    labels: Int64
    values: Float32

    def __len__(self) -> int:
        return int(self.steps.shape[1])


class Describer:
    """Describes clips by the network of a model of single frames.

    Args:
        config: which model, what it is for, and how the views are changed.

    Raises:
        ConfigError, ArtifactError: there is no such model, or it has no layer before its head.
    """

    def __init__(self, config: TemporalConfig) -> None:
        artifact = load_artifact(resolve(config.clips.frames))
        _, self.tensor, _ = with_embedding(artifact.graph, artifact.manifest.default_head)
        self.model = Model(artifact).with_embedding(self.tensor)
        self.manifest = artifact.manifest
        self.config = config
        self.keeps_crops = config.model.kind == "r2plus1d"
        self._pipeline: Pipeline | None = None

    @property
    def features(self) -> int:
        """Values a frame."""
        return int(self.model.session.outputs[self.tensor].shape[-1] or 0)

    def describe(self, clip: Clip, *, views: int) -> Seen:
        """What the network sees in a clip.

        Raises:
            DataError: a frame cannot be read, or there is no face in any.
        """
        times_s, frames, crops = self._crops(clip)
        if not len(crops):
            raise DataError(f"clip {clip.id!r}: no face was found in it")
        shown = np.stack([crops, *(self._changed(clip, crops, view) for view in range(1, views))])
        found = [self.model.run(faces) for faces in shown]
        vectors = np.stack([one[EMBEDDING].reshape(len(crops), -1) for one in found])
        logits = found[0][self.manifest.default_head]
        kept = shown if self.keeps_crops else np.zeros((views, len(crops), 0, 0, 0), np.uint8)
        return Seen(times_s, frames, vectors.astype(np.float32), logits.astype(np.float32), kept)

    def _crops(self, clip: Clip) -> tuple[Float64, Int64, UInt8]:
        """Times and numbers of the frames with a face, and the faces as the network takes them."""
        if clip.cropped:
            times_s, images = zip(*iter_frames(clip), strict=True)
            return np.array(times_s), np.arange(len(images)), prepare(images, self.manifest.input)
        if self._pipeline is None:
            self._pipeline = Pipeline(self.model)
        frames = (Frame(_rgb(image), clip.id, n, time_s) for n, (time_s, image) in enumerate(iter_frames(clip)))
        tracks: dict[int, list[tuple[float, int, UInt8]]] = {}
        for frame, ids, inputs in iter_faces(self._pipeline, frames):
            for track_id, face in zip(ids, inputs, strict=True):
                tracks.setdefault(int(track_id), []).append((frame.time_s, frame.index, face))
        longest = max(tracks.values(), key=len, default=[])
        shape = (0, self.manifest.input.channels, self.manifest.input.height, self.manifest.input.width)
        crops = np.stack([face for *_, face in longest]) if longest else np.zeros(shape, np.uint8)
        return np.array([at for at, *_ in longest]), np.array([n for _, n, _ in longest], np.int64), crops

    def _changed(self, clip: Clip, crops: UInt8, view: int) -> UInt8:
        """The clip with the same random changes in all its frames: these are the channels of one picture."""
        seed = hashlib.sha256(f"{self.config.fit.seed} {clip.id} {view}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(seed[:6], "big"))
        together = torch.from_numpy(crops).float().flatten(0, 1)[None]
        # A share of a batch would be a share of this one clip: a coin decides on all of it.
        poor = float(torch.rand(1, generator=generator) < self.config.augment.degrade)
        how = self.config.augment.model_copy(update={"degrade": poor})
        changed = augment(together, how, generator)[0].reshape(crops.shape)
        return np.asarray(changed.round().clamp(0, 255).to(torch.uint8).numpy())


def _rgb(image: UInt8) -> UInt8:
    return np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image


def describe_clips(
    dataset: ClipDataset, describer: Describer, *, views: int = 1, on_progress: OnProgress | None = None
) -> list[Seen]:
    """What the frame network sees in each clip, from the cache where an earlier run left it.

    The cache is in MIEN_HOME, a file a clip, under the hashes of the data, the graph and the changes: an interrupted
    run resumes from there.
    """
    config = describer.config
    changes = config.augment.model_dump(mode="json") | {"seed": config.fit.seed} if views > 1 else None
    facts = [FORM, dataset.sha256, describer.manifest.sha256, views, describer.keeps_crops, changes]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
    folder = cache.default_cache_dir() / f"clips-{key}"
    found = []
    for number, clip in enumerate(dataset.clips):
        name = hashlib.sha256(clip.id.encode()).hexdigest()[:24]
        # Without a hash nobody could tell whose faces they are.
        kept = cache.load(folder, name, ("times_s", "frames", "vectors", "logits", "crops")) if dataset.sha256 else None
        seen = describer.describe(clip, views=views) if kept is None else Seen(**kept)
        if kept is None and dataset.sha256:
            cache.save(folder, name, vars(seen))
        found.append(seen)
        if on_progress:
            on_progress(number + 1, len(dataset))
    return found


def to_sequences(
    clips: Sequence[Clip], seen: Sequence[Seen], config: ClipsConfig, *, crops: bool
) -> list[StepSequence]:
    """Clips as steps at the configuration's rate, cut where a face was away for long.

    Args:
        clips: with their labels.
        seen: of each of them.
        config: the rate, and which labels there are.
        crops: steps are crops rather than features.
    """
    sequences: list[StepSequence] = []
    for number, (clip, one) in enumerate(zip(clips, seen, strict=True)):
        labels, values = _annotations(clip, one, 7 if config.labels == "seven" else 8)
        label = clip.label if clip.label < (7 if config.labels == "seven" else 8) else NO_LABEL
        of_views = one.crops if crops else one.vectors
        runs = _cut(one.times_s, of_views, config.rate_hz)
        for steps, nearest in runs:
            sequences.append(StepSequence(number, steps, label, labels[nearest], values[nearest]))
    return sequences


def _annotations(clip: Clip, seen: Seen, classes: int) -> tuple[Int64, Float32]:
    """Label (T,), valence and arousal (T, 2) of each frame that was seen."""
    labels = np.full(len(seen.frames), NO_LABEL, np.int64)
    values = np.full((len(seen.frames), 2), np.nan, np.float32)
    parts: list[tuple[npt.NDArray[Any], npt.NDArray[Any] | None]] = [
        (labels, clip.labels), (values[:, 0], clip.valence), (values[:, 1], clip.arousal)
    ]  # fmt: skip
    for column, given in parts:
        if given is not None:
            # The end of a video need not be labelled.
            there = seen.frames < len(given)
            column[there] = given[seen.frames[there]]
    return np.where(labels < classes, labels, NO_LABEL), values


def _cut(times_s: Float64, views: npt.NDArray[Any], rate_hz: float) -> list[tuple[npt.NDArray[Any], Int64]]:
    """Runs of steps (V, K, …) by the rule of `mien.reading.temporal`, with the nearest frame of each step (K,)."""
    clock = Clock(rate_hz)
    runs: list[tuple[list[npt.NDArray[Any]], list[int]]] = []
    for number, time_s in enumerate(times_s.tolist()):
        count = clock.count
        steps, afresh, _ = clock.add(views[:, number], time_s)
        if afresh:
            runs.append(([], []))
            count = 0
        for at, step in enumerate(steps):
            due_s = clock.start_s + (count + at) / rate_hz
            before = number and abs(times_s[number - 1] - due_s) < abs(time_s - due_s)
            runs[-1][0].append(step)
            runs[-1][1].append(number - int(before))
    return [(np.stack(steps, axis=1), np.array(nearest, np.int64)) for steps, nearest in runs]
