"""How well clips are read: by single frames, smoothed and held as well as that can be done, and by a temporal model.

All three read each clip as a stream is read, with the reading side's own code or its equal. The best smoothing is
chosen on train and validation, by frame accuracy over a grid of both settings; the test split decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mien.arrays import Float32, Float64, Int64
from mien.errors import DataError
from mien.labels import project
from mien.reading.smoothing import FLOOR, HOLD_S, SMOOTH_S
from mien.reading.temporal import Ahead, Answer, Follower, TemporalModel
from mien.workshop.data.base import NO_LABEL
from mien.workshop.data.clips import Clip, ClipDataset
from mien.workshop.progress import OnProgress, no_progress
from mien.workshop.temporal.clip_objective import concordance, label_changes
from mien.workshop.temporal.sequences import Describer, Seen, describe_clips

SMOOTHINGS_S = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0)
HOLDS_S = (0.0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5)
DRAWS = 2000
"""Of the bootstrap over clips."""


@dataclass(frozen=True)
class Reading:
    """What one way of reading gives for every clip.

    Args:
        name: in words.
        labels: of each clip's frames, int64 (T,).
        probabilities: float32 (T, K) each.
        values: valence and arousal, float32 (T, 2), or (T, 0).
    """

    name: str
    labels: list[Int64]
    probabilities: list[Float32]
    values: list[Float32]


@dataclass(frozen=True)
class Figures:
    """A reading's figures, with 95 % intervals from a bootstrap over clips; None where nothing is known.

    Args:
        name: of the reading.
        frame: accuracy over labelled frames, with its interval.
        changes_hz: changes of the label a second.
        clip: accuracy over labelled clips.
        valence, arousal: CCC.
    """

    name: str
    frame: tuple[float, float, float] | None
    changes_hz: float
    clip: float | None = None
    valence: float | None = None
    arousal: float | None = None


@dataclass(frozen=True)
class ClipEvaluation:
    """Figures of all readings on one split; the last is the temporal model's.

    Args:
        model: its name and version.
        dataset, sha256, split: what was read.
        clips, frames, seconds: how much.
        true_changes_hz: changes a second of the labels themselves.
        figures: single frames, smoothing by default, the best smoothing, the temporal model.
        gain: of the temporal model over the best smoothing in frame accuracy, with its paired interval.
        smoothing: smooth_s and hold_s of the best.
    """

    model: str
    dataset: str
    sha256: str
    split: str
    clips: int
    frames: int
    seconds: float
    true_changes_hz: float
    figures: tuple[Figures, ...]
    gain: tuple[float, float, float] | None
    smoothing: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, rounded, for a manifest."""
        plain: dict[str, Any] = {
            "set": self.dataset, "split": self.split, "clips": self.clips, "frames": self.frames,
            "true_changes_hz": round(self.true_changes_hz, 4), "selection": "best epoch and calibration on validation; "
            "best smoothing on train and validation",
        }  # fmt: skip
        if self.smoothing:
            plain["smooth_s"], plain["hold_s"] = self.smoothing
        for one in self.figures:
            found = {"changes_hz": round(one.changes_hz, 4)}
            found |= {} if one.frame is None else {"frame": round(one.frame[0], 5)}
            given = {name: getattr(one, name) for name in ("clip", "valence", "arousal")}
            plain[one.name] = found | {name: round(value, 5) for name, value in given.items() if value is not None}
        return plain


def evaluate_clips(
    model: TemporalModel, dataset: ClipDataset, *, describer: Describer, split: str = "test",
    on_progress: OnProgress = no_progress,
) -> ClipEvaluation:  # fmt: skip
    """Read a split's clips in every way, and measure.

    Raises:
        DataError: the split is empty, or a clip cannot be read.
    """
    clips = dataset.part(split)
    if not len(clips):
        raise DataError(f"{dataset.name}: there is no clip in the split {split!r} to measure on")
    seen = describe_clips(clips, describer, on_progress=on_progress)
    readings, smoothing = [], None
    words = model.manifest.labels
    if words:
        raw = frame_probabilities(seen, describer, words)
        readings.append(_plain("single frames", raw))
        readings.append(
            _smoothed(f"smoothed by default ({SMOOTH_S:g} s, held {HOLD_S:g} s)", seen, raw, SMOOTH_S, HOLD_S)
        )
        tried = measure_smoothing(dataset, describer, words)
        if tried.known.any():
            smoothing = tried.best
            name = f"best smoothing ({smoothing[0]:g} s, held {smoothing[1]:g} s)"
            readings.append(_smoothed(name, seen, raw, *smoothing))
    readings.append(read_clips_with(model, seen))
    truth = [_frame_labels(clip, one, len(words)) for clip, one in zip(clips.clips, seen, strict=True)]
    figures = tuple(_measure(reading, clips.clips, seen, truth) for reading in readings)
    seconds = sum(_seconds(one) for one in seen)
    gain = _gain(readings[-2], readings[-1], truth) if smoothing is not None else None
    return ClipEvaluation(
        model.title, dataset.name, dataset.sha256, split, len(clips), sum(len(one.times_s) for one in seen), seconds,
        sum(label_changes(rows[rows != NO_LABEL]) for rows in truth) / seconds, figures, gain, smoothing,
    )  # fmt: skip


def frame_probabilities(seen: Sequence[Seen], describer: Describer, words: tuple[str, ...]) -> list[Float32]:
    """What users are shown of each frame alone, (T, K) a clip."""
    model = describer.model.as_shown()
    head = model.manifest.default_head
    return [project(model.calibrate(one.logits, head), model.heads[head], words) for one in seen]


def read_clips_with(model: TemporalModel, seen: Sequence[Seen]) -> Reading:
    """Every clip frame by frame, as a stream."""
    answers = []
    for one in seen:
        inputs = one.crops[0] if model.reads_crops else one.vectors[0]
        answers.append(_follow(model, one, inputs) if model.manifest.causal else _look_ahead(model, one, inputs))
    probabilities = [
        model.probabilities(np.stack([answer.logits for answer in rows]))
        if model.manifest.labels
        else np.zeros((len(rows), 0), np.float32)
        for rows in answers
    ]
    values = [np.array([answer.values or () for answer in rows], np.float32) for rows in answers]
    own = [model.manifest.smooth_s], [model.manifest.hold_s]
    labels = [
        smooth_grid(rows, one.times_s, *own)[:, 0, 0] if rows.shape[1] else np.full(len(rows), NO_LABEL)
        for rows, one in zip(probabilities, seen, strict=True)
    ]
    return Reading(model.title, labels, probabilities, values)


def _follow(model: TemporalModel, seen: Seen, inputs: Any) -> list[Answer]:
    follower = Follower(model)
    return [follower.update(1, x, time_s) for x, time_s in zip(inputs, seen.times_s.tolist(), strict=True)]


def _look_ahead(model: TemporalModel, seen: Seen, inputs: Any) -> list[Answer]:
    ahead, answers = Ahead(model), []
    times_s, done = seen.times_s.tolist(), 0
    for x, time_s in zip(inputs, times_s, strict=True):
        ahead.add(1, x, time_s)
        while done < len(times_s) and times_s[done] + ahead.lookahead_s <= time_s:
            answers.append(ahead.answer(1, times_s[done]))
            done += 1
    return [*answers, *(ahead.answer(1, time_s) for time_s in times_s[done:])]


@dataclass(frozen=True)
class Smoothings:
    """What every pair of `SMOOTHINGS_S` and `HOLDS_S` gives for each of C clips.

    Args:
        right, changes: frames that are right, and changes of the label, int64 (C, S, H).
        known: labelled frames, (C,).
        seconds: length, (C,).
    """

    right: Int64
    changes: Int64
    known: Int64
    seconds: Float64

    @property
    def accuracy(self) -> Float64:
        """Of all labelled frames, (S, H)."""
        return np.asarray(self.right.sum(axis=0) / max(1, self.known.sum()))

    @property
    def changes_hz(self) -> Float64:
        """Changes a second, (S, H)."""
        return np.asarray(self.changes.sum(axis=0) / max(self.seconds.sum(), 1e-9))

    @property
    def error(self) -> float:
        """Standard error of the best accuracy, by a bootstrap over clips."""
        best = np.unravel_index(int(self.accuracy.argmax()), self.accuracy.shape)
        drawn = np.random.default_rng(0).integers(0, len(self.known), (DRAWS, len(self.known)))
        right = self.right[:, best[0], best[1]][drawn].sum(axis=1)
        return float((right / np.maximum(1, self.known[drawn].sum(axis=1))).std())

    @property
    def best(self) -> tuple[float, float]:
        """smooth_s and hold_s of the highest accuracy; of equals, the one with the fewest changes."""
        return _settings(np.lexsort((self.changes_hz.ravel(), -self.accuracy.ravel()))[0])

    @property
    def steadiest(self) -> tuple[float, float]:
        """Those of the fewest changes within one standard error of the best (Breiman et al. 1984)."""
        return _settings(np.where(self.accuracy >= self.accuracy.max() - self.error, self.changes_hz, np.inf).argmin())


def _settings(place: Any) -> tuple[float, float]:
    row, column = np.unravel_index(int(place), (len(SMOOTHINGS_S), len(HOLDS_S)))
    return SMOOTHINGS_S[row], HOLDS_S[column]


def measure_smoothing(
    dataset: ClipDataset,
    describer: Describer,
    words: tuple[str, ...],
    *,
    splits: tuple[str, ...] = ("train", "validation"),
    model: TemporalModel | None = None,
) -> Smoothings:
    """Read the clips of these splits under every pair of settings.

    Args:
        dataset: with labels of frames; others count for nothing.
        describer: gives the probabilities of single frames.
        words: the labels that count.
        splits: which clips.
        model: smooth its probabilities rather than those of single frames.
    """
    rows = []
    for split in splits:
        clips = dataset.part(split)
        # A training describes its clips several times: the first time is as they are, and is kept with the others.
        seen = describe_clips(clips, describer, views=describer.config.clips.views if split == "train" else 1)
        raw = (
            frame_probabilities(seen, describer, words) if model is None else read_clips_with(model, seen).probabilities
        )
        for clip, one, own in zip(clips.clips, seen, raw, strict=True):
            truth = _frame_labels(clip, one, len(words))
            shown = smooth_grid(own, one.times_s, SMOOTHINGS_S, HOLDS_S)
            right = ((shown == truth[:, None, None]) & (truth != NO_LABEL)[:, None, None]).sum(axis=0)
            rows.append((right, (shown[1:] != shown[:-1]).sum(axis=0), (truth != NO_LABEL).sum(), _seconds(one)))
    return Smoothings(*(np.array(column) for column in zip(*rows, strict=True)))


def smooth_grid(
    probabilities: Float32, times_s: Float64, smoothings_s: Sequence[float], holds_s: Sequence[float]
) -> Int64:
    """The label that `Smoother` shows for each frame under every pair of settings at once, int64 (T, S, H)."""
    log_p = np.log(np.maximum(probabilities.astype(np.float64), FLOOR))
    smooth, hold = np.array(smoothings_s)[:, None], np.array(holds_s)[None, :]
    mixed = np.repeat(log_p[:1], len(smooth), axis=0)
    shown = np.full((len(smooth), hold.shape[1]), log_p[0].argmax(), np.int64)
    behind_since = np.full(shown.shape, np.nan)
    out = np.empty((len(log_p), *shown.shape), np.int64)
    out[0] = shown
    for frame in range(1, len(log_p)):
        gap_s = times_s[frame] - times_s[frame - 1]
        share = np.where(smooth > 0, 1 - np.exp(-gap_s / np.maximum(smooth, 1e-9)), 1.0)
        mixed = mixed + np.maximum(share, 1 / (frame + 1)) * (log_p[frame] - mixed)
        top = np.broadcast_to(mixed.argmax(axis=1)[:, None], shown.shape)
        behind_since = np.where(top == shown, np.nan, np.where(np.isnan(behind_since), times_s[frame], behind_since))
        over = (top != shown) & (times_s[frame] - behind_since >= hold - 1e-9)
        shown, behind_since = np.where(over, top, shown), np.where(over, np.nan, behind_since)
        out[frame] = shown
    return out


def _plain(name: str, raw: list[Float32]) -> Reading:
    return Reading(
        name, [rows.argmax(axis=1) for rows in raw], raw, [np.zeros((len(rows), 0), np.float32) for rows in raw]
    )


def _smoothed(name: str, seen: Sequence[Seen], raw: list[Float32], smooth_s: float, hold_s: float) -> Reading:
    labels = [
        smooth_grid(rows, one.times_s, [smooth_s], [hold_s])[:, 0, 0] for rows, one in zip(raw, seen, strict=True)
    ]
    # A clip's label is that of the mean over its frames, which smoothing hardly changes.
    return Reading(name, labels, raw, [np.zeros((len(rows), 0), np.float32) for rows in raw])


def _frame_labels(clip: Clip, seen: Seen, classes: int) -> Int64:
    labels = np.full(len(seen.frames), NO_LABEL, np.int64)
    if clip.labels is not None:
        there = seen.frames < len(clip.labels)
        labels[there] = clip.labels[seen.frames[there]]
    return np.where(labels < classes, labels, NO_LABEL)


def _seconds(seen: Seen) -> float:
    return float(seen.times_s[-1] - seen.times_s[0]) if len(seen.times_s) > 1 else 0.0


def _measure(reading: Reading, clips: Sequence[Clip], seen: Sequence[Seen], truth: Sequence[Int64]) -> Figures:
    right, known = _right(reading, truth)
    frame = (
        None
        if not known.sum()
        else _interval(lambda drawn: right[drawn].sum() / max(1, known[drawn].sum()), len(known))
    )
    seconds = max(sum(_seconds(one) for one in seen), 1e-9)
    changes = sum(label_changes(rows) for rows in reading.labels) / seconds
    labelled = [n for n, clip in enumerate(clips) if NO_LABEL < clip.label < max(1, reading.probabilities[n].shape[1])]
    clip_right = [reading.probabilities[n].mean(axis=0).argmax() == clips[n].label for n in labelled]
    values = {name: _concordance(reading, clips, seen, column) for column, name in enumerate(("valence", "arousal"))}
    return Figures(reading.name, frame, changes, float(np.mean(clip_right)) if labelled else None, **values)


def _right(reading: Reading, truth: Sequence[Int64]) -> tuple[Int64, Int64]:
    """Frames that are right and that are labelled, a clip."""
    right = [int(((told == true) & (true != NO_LABEL)).sum()) for told, true in zip(reading.labels, truth, strict=True)]
    return np.array(right), np.array([int((true != NO_LABEL).sum()) for true in truth])


def _gain(before: Reading, after: Reading, truth: Sequence[Int64]) -> tuple[float, float, float] | None:
    (one, known), (other, _) = _right(before, truth), _right(after, truth)
    if not known.sum():
        return None
    gained = other - one
    return _interval(lambda drawn: gained[drawn].sum() / max(1, known[drawn].sum()), len(known))


def _interval(figure: Callable[[Int64], float], count: int) -> tuple[float, float, float]:
    """A figure of all clips, and its 95 % interval: clips are drawn whole, for their frames resemble one another."""
    rng = np.random.default_rng(0)
    drawn = [float(figure(rng.integers(0, count, count))) for _ in range(DRAWS)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(figure(np.arange(count))), float(low), float(high)


def _concordance(reading: Reading, clips: Sequence[Clip], seen: Sequence[Seen], column: int) -> float | None:
    if not reading.values[0].shape[1]:
        return None
    told, true = [], []
    for clip, one, rows in zip(clips, seen, reading.values, strict=True):
        given = clip.valence if column == 0 else clip.arousal
        if given is not None:
            there = one.frames < len(given)
            told.append(rows[there, column])
            true.append(given[one.frames[there]])
    if not true:
        return None
    known = np.isfinite(np.concatenate(true))
    pair = [torch.from_numpy(np.concatenate(rows).astype(np.float64)[known]) for rows in (told, true)]
    return float(concordance(*pair)) if known.sum() > 1 else None
