"""Faces read over time by a temporal model: steps at its own rate, a state for each track, resets after gaps.

A model takes a fixed number of steps a second, and a source gives frames when it likes. The first frame of a face is
its first step; a later step is due every 1 / rate after that. What a step sees lies between the frames before and after
it, in proportion to their distance; of crops, it is the nearer one. A frame that is no step is read with the state
before it, and leaves that as it is. So a fast source has an answer for every frame, and a slow one catches up with
every frame. A face that was away for more than `MAX_GAP_S` starts afresh.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.artifact.runtime import Session, Tensor
from mien.artifact.temporal import LOGITS, NEXT, STATE, STEPS, VALUES, TemporalArtifact, load_temporal
from mien.errors import ArtifactError, ConfigError
from mien.reading.classifier import Model

Float32 = npt.NDArray[np.float32]
Array = npt.NDArray[Any]
State = tuple[Float32, ...]

MAX_GAP_S = 1.0
"""A face that was away for longer starts afresh; the tracker gives it a new number then, too."""

SNAP = 0.25
"""A step that is due within this share of a step of a frame is that frame: time stamps tremble."""


@dataclass(frozen=True)
class Answer:
    """What a temporal model says of a face at one moment.

    Args:
        logits: before calibration, (K,); empty for a model without labels.
        values: valence and arousal, −1 to 1, or None.
    """

    logits: Float32
    values: tuple[float, float] | None = None


class TemporalModel:
    """A temporal model's graph, ready to run.

    Args:
        artifact: from `load_temporal`.
        providers, threads: as `Session` takes them.

    Raises:
        ArtifactError: the graph cannot be loaded or does not fit its manifest.
    """

    def __init__(
        self, artifact: TemporalArtifact, *, providers: Sequence[str] | None = None, threads: int | None = None
    ) -> None:
        self.manifest = artifact.manifest
        self.folder = artifact.folder
        self.session = Session(artifact.graph, providers=providers, threads=threads)
        states = {
            f"{prefix}{number}": Tensor("float", (None, *shape))
            for prefix in (STATE, NEXT)
            for number, shape in enumerate(self.manifest.states)
        }
        outputs = {name: value for name, value in states.items() if name.startswith(NEXT)}
        if self.manifest.labels:
            outputs[LOGITS] = Tensor("float", (None, None, len(self.manifest.labels)))
        if self.manifest.values:
            outputs[VALUES] = Tensor("float", (None, None, 2))
        inputs = {name: value for name, value in states.items() if name not in outputs}
        # The shape of crops is that of the frame model, which is known when both are put together.
        steps = self.session.inputs.get(STEPS)
        if self.manifest.features:
            steps = Tensor("float", (None, None, self.manifest.features))
        try:
            self.session.require(inputs | ({} if steps is None else {STEPS: steps}), outputs)
        except ArtifactError as error:
            raise ArtifactError(f"{artifact.folder}: {error}") from error

    @property
    def title(self) -> str:
        """Name and version."""
        return self.manifest.title

    @property
    def reads_crops(self) -> bool:
        """Whether a step is a face crop, and not what the frame model makes of it."""
        return not self.manifest.features

    def below(self, model: Model) -> Model:
        """The frame model, so that it also gives what this one reads.

        Raises:
            ConfigError: it is another one than this model was trained on.
        """
        wanted = self.manifest.frames
        if model.manifest.sha256 != wanted.sha256:
            raise ConfigError(
                f"the temporal model {self.title} reads what {wanted.name} {wanted.version} (sha256 "
                f"{wanted.sha256[:12]}…) sees, not {model.name} {model.version} ({model.manifest.sha256[:12]}…): "
                "give that one as the model"
            )
        return model if self.reads_crops else model.with_embedding(wanted.embedding)

    def start(self) -> State:
        """The state before a face's first step."""
        return tuple(np.zeros((1, *shape), np.float32) for shape in self.manifest.states)

    def run(self, steps: Array, state: State) -> tuple[list[Answer], State]:
        """The answers to successive steps of one face, (T, …), and the state after them."""
        inputs: dict[str, Array] = {STEPS: steps[None]}
        inputs |= {f"{STATE}{number}": part for number, part in enumerate(state)}
        found = self.session.run(inputs)
        after = tuple(found[f"{NEXT}{number}"] for number in range(len(state)))
        logits = found[LOGITS][0] if self.manifest.labels else np.zeros((len(steps), 0), np.float32)
        values = [None] * len(steps) if VALUES not in found else [(float(v), float(a)) for v, a in found[VALUES][0]]
        return [Answer(row, pair) for row, pair in zip(logits, values, strict=True)], after

    def probabilities(self, logits: Float32) -> Float32:
        """Calibrated probabilities (N, K) of logits (N, K)."""
        return self.manifest.calibration.probabilities(logits)


def load_temporal_model(
    name: str | Path, *, providers: Sequence[str] | None = None, threads: int | None = None
) -> TemporalModel:
    """Load and verify a temporal model: the folder that `mien model export` wrote.

    Raises:
        ConfigError: there is none of that name.
        ArtifactError: it is damaged, foreign or newer than this version.
    """
    return TemporalModel(load_temporal(name), providers=providers, threads=threads)


@dataclass
class Clock:
    """Turns the frames of one face into steps; see the head of this file.

    Args:
        rate_hz: steps a second.
    """

    rate_hz: float
    count: int = 0
    start_s: float = 0.0
    last_s: float = 0.0
    last: Array | None = None

    def add(self, x: Array, time_s: float) -> tuple[list[Array], bool, bool]:
        """The steps that are due with a frame, whether they begin afresh, and whether the last one is the frame."""
        last, last_s = self.last, self.last_s
        self.last, self.last_s = x, time_s
        if last is None or not 0 < time_s - last_s <= MAX_GAP_S + 1e-6:
            self.count, self.start_s = 1, time_s
            return [x], True, True
        steps, at_frame = [], False
        snap_s = SNAP / self.rate_hz
        while (due_s := self.start_s + self.count / self.rate_hz) <= time_s + snap_s:
            at_frame = due_s >= time_s - snap_s
            steps.append(x if at_frame else _between(last, x, (due_s - last_s) / (time_s - last_s)))
            self.count += 1
        return steps, False, at_frame


def _between(before: Array, after: Array, share: float) -> Array:
    share = min(max(share, 0.0), 1.0)
    if before.dtype == np.uint8:
        return before if share < 0.5 else after
    return np.asarray(before + np.float32(share) * (after - before), np.float32)


@dataclass
class _Track:
    clock: Clock
    state: State


class Follower:
    """Reads faces step by step with a causal model; each track has a state of its own.

    Args:
        model: a causal one.
    """

    def __init__(self, model: TemporalModel) -> None:
        self.model = model
        self._tracks: dict[int, _Track] = {}

    def update(self, track_id: int, x: Array, time_s: float) -> Answer:
        """What the model says of a track at this frame.

        Args:
            track_id: whose face it is.
            x: what the frame model sees in it, float32 (F,), or the crop, uint8 (C, H, W).
            time_s: of this frame.
        """
        track = self._tracks.get(track_id)
        if track is None:
            track = self._tracks[track_id] = _Track(Clock(self.model.manifest.rate_hz), ())
        steps, afresh, at_frame = track.clock.add(x, time_s)
        if afresh:
            track.state = self.model.start()
        if steps:
            answers, track.state = self.model.run(np.stack(steps), track.state)
            if at_frame:
                return answers[-1]
        # Between two steps: an answer for this frame, which the next step does not remember.
        return self.model.run(x[None], track.state)[0][0]

    def forget(self, track_ids: Iterable[int]) -> None:
        """Drop tracks that ended."""
        for track_id in track_ids:
            self._tracks.pop(track_id, None)


@dataclass
class _Seen:
    """The steps of a face that a window may still reach, and where in time each is."""

    clock: Clock
    steps: deque[tuple[float, Array]] = field(default_factory=deque)


class Ahead:
    """Reads faces with a model that looks ahead: answers come `lookahead_s` after their frame.

    Args:
        model: one that is not causal.
    """

    def __init__(self, model: TemporalModel) -> None:
        self.model = model
        self.lookahead_s, self.context_s = model.manifest.lookahead_s, model.manifest.context_s
        self._tracks: dict[int, list[_Seen]] = {}

    def add(self, track_id: int, x: Array, time_s: float) -> None:
        """Take a frame of a track; arguments as `Follower.update`."""
        runs = self._tracks.setdefault(track_id, [])
        seen = runs[-1] if runs else _Seen(Clock(self.model.manifest.rate_hz))
        steps, afresh, _ = seen.clock.add(x, time_s)
        if afresh:
            # The steps before a gap stay until their own frames are answered.
            seen = _Seen(seen.clock) if runs else seen
            runs.append(seen)
        clock = seen.clock
        first = clock.count - len(steps)
        seen.steps.extend((clock.start_s + (first + n) / clock.rate_hz, step) for n, step in enumerate(steps))

    def answer(self, track_id: int, time_s: float) -> Answer:
        """What the model says of a track at the time of an earlier frame."""
        half_s = 0.5 / self.model.manifest.rate_hz + 1e-6
        runs = self._tracks[track_id]
        # The run that began last, but not after this frame: the others lie beyond a gap.
        seen = next((run for run in reversed(runs) if run.steps and run.steps[0][0] <= time_s + half_s), runs[0])
        window = [
            (at_s, step)
            for at_s, step in seen.steps
            if time_s - self.context_s - half_s <= at_s <= time_s + self.lookahead_s + half_s
        ]
        at = int(np.abs(np.array([at_s for at_s, _ in window]) - time_s).argmin())
        answers, _ = self.model.run(np.stack([step for _, step in window]), ())
        return answers[at]

    def forget_before(self, time_s: float) -> None:
        """Drop what no window of a frame at or after this time reaches."""
        for track_id, runs in list(self._tracks.items()):
            for seen in runs:
                while len(seen.steps) > 1 and seen.steps[0][0] < time_s - self.context_s - 1:
                    seen.steps.popleft()
            kept = [run for run in runs[:-1] if run.steps[-1][0] >= time_s - MAX_GAP_S] + runs[-1:]
            self._tracks[track_id] = kept
            if kept[-1].clock.last_s < time_s - self.context_s - MAX_GAP_S - 1:
                del self._tracks[track_id]
