"""What the faces of a frame become once their tracks are known: smoothed and held, or read by a temporal model."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError
from mien.labels import project
from mien.reading.affect import AffectSmoother
from mien.reading.face_reader import FaceReader
from mien.reading.results import Result
from mien.reading.smoothing import HOLD_S, SMOOTH_S, Smoother
from mien.reading.temporal import Ahead, Answer, Follower
from mien.structures import Affect, Face

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Sighting:
    """The result of a frame by itself, with the track and the temporal model's input of each face.

    Args:
        result: its faces as single pictures.
        ids: int64 (N,), or None without tracking.
        inputs: a row a face; empty without a temporal model.
    """

    result: Result
    ids: npt.NDArray[np.int64] | None
    inputs: Array

    @property
    def time_s(self) -> float:
        """Of its frame."""
        assert self.result.frame is not None
        return self.result.frame.time_s


class OverTime:
    """Takes the sightings of one source in order and gives its results, some of them later.

    Args:
        reader: with its temporal model, if it has one.
        smooth_s, hold_s: as `Smoother` takes them; None for its defaults, or those of the temporal model.
        live: the source does not wait: a model that looks ahead is refused.

    Raises:
        ConfigError: the model looks ahead and the source is live.
    """

    def __init__(self, reader: FaceReader, *, smooth_s: float | None, hold_s: float | None, live: bool) -> None:
        self._reader = reader
        model = reader.temporal
        by_default = (SMOOTH_S, HOLD_S) if model is None else (model.manifest.smooth_s, model.manifest.hold_s)
        self._smoother = Smoother(
            smooth_s=by_default[0] if smooth_s is None else smooth_s, hold_s=by_default[1] if hold_s is None else hold_s
        )
        # Values are of every frame by itself also where a temporal model reads the words.
        self._affect = AffectSmoother(smooth_s=SMOOTH_S if smooth_s is None else smooth_s)
        self._follower = Follower(model) if model is not None and model.manifest.causal else None
        self._ahead = Ahead(model) if model is not None and not model.manifest.causal else None
        self._waiting: deque[Sighting] = deque()
        if self._ahead is not None and live:
            raise ConfigError(
                f"the temporal model {self._ahead.model.title} looks {self._ahead.lookahead_s:g} s ahead, so it reads "
                "files alone: a camera or stream needs a causal one (model.causal = true)"
            )

    def take(self, sighting: Sighting) -> Iterator[Result]:
        """The results that are known now."""
        if self._ahead is None:
            yield self._finish(sighting)
            return
        self._waiting.append(sighting)
        if sighting.ids is not None:
            for track_id, x in zip(sighting.ids.tolist(), sighting.inputs, strict=True):
                self._ahead.add(track_id, x, sighting.time_s)
        # The next frame can add nothing to a window that ended before this one.
        while self._waiting and self._waiting[0].time_s + self._ahead.lookahead_s <= sighting.time_s:
            yield self._finish(self._waiting.popleft())

    def end(self) -> Iterator[Result]:
        """The results that waited for what does not come."""
        while self._waiting:
            yield self._finish(self._waiting.popleft())

    def _finish(self, sighting: Sighting) -> Result:
        result = sighting.result
        if sighting.ids is not None:
            inputs = [None] * len(sighting.ids) if self._reader.temporal is None else sighting.inputs
            rows = zip(result.faces, sighting.ids.tolist(), inputs, strict=True)
            read = [self._read(face, track_id, x, sighting.time_s) for face, track_id, x in rows]
            result = replace(result, faces=read)
        self._smoother.forget(result.left)
        self._affect.forget(result.left)
        if self._follower is not None:
            self._follower.forget(result.left)
        if self._ahead is not None:
            self._ahead.forget_before(sighting.time_s)
        return result

    def _read(self, face: Face, track_id: int, x: Array | None, time_s: float) -> Face:
        labels = tuple(face.probabilities)
        own = np.fromiter(face.probabilities.values(), np.float64)
        answer = self._answer(track_id, x, time_s)
        model = self._reader.temporal
        if answer is not None and model is not None and model.manifest.labels:
            told = model.probabilities(answer.logits[None])
            own = np.asarray(project(told, model.manifest.labels, labels)[0], np.float64)
        shown = self._smoother.update(track_id, own, time_s)
        return replace(
            face,
            track_id=track_id,
            raw=face.probabilities,
            probabilities=dict(zip(labels, shown.tolist(), strict=True)),
            # Judged again by what is shown; `describe` saw this frame alone.
            abstained=self._reader.is_unsure(float(shown.max()), face.quality_score),
            affect=self._affect.update(track_id, self._felt(face, answer), time_s),
            model=self._reader.moving_title,
        )

    def _felt(self, face: Face, answer: Answer | None) -> Affect | None:
        """Valence and arousal by the temporal model, if it tells them; all else by the frame."""
        if answer is None or answer.values is None:
            return face.affect
        before = face.affect or Affect(None, None, None)
        valence, arousal = answer.values
        source = self._reader.moving_title
        # How far off it is, nobody has measured.
        return before._replace(valence=valence, arousal=arousal, valence_sd=None, arousal_sd=None, source=source)

    def _answer(self, track_id: int, x: Array | None, time_s: float) -> Answer | None:
        if x is None:
            return None
        if self._follower is not None:
            return self._follower.update(track_id, x, time_s)
        return self._ahead.answer(track_id, time_s) if self._ahead is not None else None
