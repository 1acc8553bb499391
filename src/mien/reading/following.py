"""Where the faces of successive frames are: searched everywhere now and then, followed in between."""

from __future__ import annotations

import functools
import math
import time
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mien.faces.detection import Detector, ScalableDetector, join, overlaps
from mien.faces.tracking import Tracker
from mien.images.pictures import resize
from mien.reading.stages import Profile
from mien.structures import Detections, Frame

UInt8 = npt.NDArray[np.uint8]

FACE_PX = 64
"""Known faces are looked for in a picture reduced until the smallest is this high."""
SIZE_STEP_PX = 64
FULL_LOOK_S = 1.0
"""So often, and whenever a face is missing, the whole picture is looked at as a photo would be."""
SEARCH_S = 0.25
"""So often the whole frame is searched at least; see `StreamOptions.search_every`."""
DETECTION_SHARE = 0.5
"""Of the time between two frames of a live source; if finding faces takes longer, it skips frames."""
MAX_SKIPPED = 5
NEAR = 2.0
"""Side of the square in which a known face is looked for, in heights of where it should be."""
NEAR_PX = 128
"""To this side those squares are resized: a face in them is as high as `FACE_PX`."""
SAME_FACE = 0.3
"""Intersection over union from which what is found there is the face that was expected."""


@dataclass(frozen=True)
class Sight:
    """The faces of a frame; `ids` are their track IDs, None without tracking."""

    detections: Detections
    ids: npt.NDArray[np.int64] | None = None
    entered: tuple[int, ...] = ()
    left: tuple[int, ...] = ()


class Finder:
    """Detects in every frame as in a photo."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def find(self, frame: Frame) -> Sight:
        """The faces of the next frame."""
        return Sight(self._detector.detect(frame.image))


class Follower:
    """Tracks faces: detects as often, as closely and as far around them as needed, and predicts positions in between.

    Args:
        detector: one that is not scalable looks at the whole frame each time.
        profile: takes the time of tracking.
        every: detect in every Nth frame; None for every frame of a file, and as often as the load allows live.
        search_s: seconds between two searches of the whole frame.
        live: frames come by the clock, whether they are taken or not.
    """

    def __init__(self, detector: Detector, profile: Profile, *, every: int | None, search_s: float, live: bool) -> None:
        self._detector = detector
        # Once: asking whether an object fits a protocol takes long.
        self._longest_px = detector.longest_px if isinstance(detector, ScalableDetector) else 0
        self._profile = profile
        self._every, self._search_s, self._live = every, search_s, live
        self._tracker = Tracker()
        self._skipped = math.inf
        self._seen = Detections.empty()
        self._shape: tuple[int, ...] = ()
        self._full_look_s = self._searched_s = -math.inf
        self._cost_s = 0.0
        self._last_s: float | None = None
        self._interval_s = math.inf

    def find(self, frame: Frame) -> Sight:
        """The faces of the next frame."""
        if self._last_s is not None and frame.time_s > self._last_s:
            self._interval_s = frame.time_s - self._last_s
        self._last_s = frame.time_s
        self._skipped += 1
        if frame.image.shape != self._shape:
            # Places in a frame of another size say nothing about this one: look afresh, and closely.
            self._shape, self._skipped = frame.image.shape, math.inf
            self._full_look_s = self._searched_s = -math.inf
        if self._skipped >= self._patience():
            self._skipped = 0
            self._seen = self._look(frame)
            with self._profile.stage("track"):
                ids = self._tracker.update(self._seen, frame.image, frame.time_s)
            return Sight(self._seen, ids, self._tracker.entered, self._tracker.left)
        with self._profile.stage("track"):
            predicted, ids = self._tracker.predict(frame.time_s)
        return Sight(predicted, ids, (), self._tracker.left)

    def _patience(self) -> int:
        """Detect in every Nth frame."""
        if self._every is not None:
            return self._every
        # A file can wait: every frame is looked at.
        if not self._live:
            return 1
        return min(MAX_SKIPPED, max(1, math.ceil(self._cost_s / (DETECTION_SHARE * self._interval_s))))

    def _look(self, frame: Frame) -> Detections:
        started = time.perf_counter()
        found = self._look_near(frame)
        if found is None:
            found = self._search(frame)
        # A moving average: one slow look changes little.
        self._cost_s += 0.2 * (time.perf_counter() - started - self._cost_s)
        return found

    def _search(self, frame: Frame) -> Detections:
        """The faces of the whole frame."""
        self._searched_s = frame.time_s
        options: dict[str, Any] = {}
        reduced = self._reduced_px(frame)
        due = frame.time_s - self._full_look_s >= FULL_LOOK_S
        if reduced is not None:
            options["longest_px"] = reduced
        elif self._longest_px and not (due or len(self._seen) or self._tracker.waiting):
            # Nobody was there: the second look, twenty times as dear in a frame of 4K, can wait until it is due.
            options["longest_px"] = self._longest_px
        else:
            self._full_look_s = frame.time_s
        found = self._detector.detect(frame.image, **options)
        # A missing face may only be too small in the reduced picture.
        if reduced is not None and len(found) < len(self._seen):
            self._full_look_s = frame.time_s
            found = self._detector.detect(frame.image)
        return found

    def _look_near(self, frame: Frame) -> Detections | None:
        """The known faces, looked for where they should be; None where the whole frame has to be searched."""
        # Float times may miss the bound by a rounding error.
        due = frame.time_s - self._searched_s >= self._search_s - 1e-6
        if due or not self._knows_all(frame):
            return None
        expected = self._tracker.expect(frame.time_s)
        height, width = frame.image.shape[:2]
        longest = min(self._reduced_px(frame) or self._longest_px, max(height, width))
        whole = height * width * (longest / max(height, width)) ** 2
        # Many small squares would be more than the whole frame.
        if len(expected) != len(self._seen) or len(expected) * NEAR_PX**2 > whole:
            return None
        found = []
        for box in expected:
            one = self._find_near(frame, box)
            if one is None:
                return None
            found.append(one)
        together = functools.reduce(join, found)
        apart = overlaps(together.boxes, together.boxes) - np.eye(len(found))
        return together if apart.max() < SAME_FACE else None

    def _find_near(self, frame: Frame, box: npt.NDArray[np.float32]) -> Detections | None:
        """The face that should be in that box (4,), as one detection."""
        side = max(1, round(NEAR * float(box[3] - box[1])))
        left, top = np.round((box[:2] + box[2:] - side) / 2).astype(int).tolist()
        square = _cut(frame.image, left, top, side)
        if square is None:
            return None
        # Squares have one size, because a detector has to prepare for every new one.
        seen = self._detector.detect(square)
        back, corner = np.float32(side / NEAR_PX), np.array([left, top], np.float32)
        moved = Detections(seen.boxes * back + np.tile(corner, 2), seen.scores, seen.landmarks * back + corner)
        fit = overlaps(moved.boxes, box[None])[:, 0]
        if not len(fit) or fit.max() < SAME_FACE:
            return None
        best = int(fit.argmax())
        return moved[np.array([best])]

    def _knows_all(self, frame: Frame) -> bool:
        """Faces are there, none is missing, and no close look at the whole frame is due."""
        due = frame.time_s - self._full_look_s >= FULL_LOOK_S
        return bool(len(self._seen)) and not (due or self._tracker.waiting) and self._longest_px > 0

    def _reduced_px(self, frame: Frame) -> int | None:
        """The longer side that is enough for the faces that are there; None to look as at a photo."""
        if not self._knows_all(frame):
            return None
        smallest = float((self._seen.boxes[:, 3] - self._seen.boxes[:, 1]).min())
        enough = max(frame.image.shape[:2]) * FACE_PX / max(smallest, 1.0)
        # In steps, because a detector has to prepare for every new input size.
        stepped = SIZE_STEP_PX * math.ceil(enough / SIZE_STEP_PX)
        return stepped if stepped < self._longest_px else None


def _cut(image: UInt8, left: int, top: int, side: int) -> UInt8 | None:
    """A square of a picture, resized; beyond the edge it is repeated. None where it lies outside."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = max(left, 0), max(top, 0), min(left + side, width), min(top + side, height)
    if x2 <= x1 or y2 <= y1:
        return None
    # Resized before the edge is repeated: a face that is close would have many pixels copied.
    starts = [min(round((low - first) * NEAR_PX / side), NEAR_PX - 1) for low, first in ((y1, top), (x1, left))]
    spans = [max(1, round((high - low) * NEAR_PX / side)) for low, high in ((y1, y2), (x1, x2))]
    spans = [min(span, NEAR_PX - start) for span, start in zip(spans, starts, strict=True)]
    # Every second pixel of a face that is close is enough; more would take longer than finding it.
    step = max(1, side // (2 * NEAR_PX))
    part = resize(image[y1:y2:step, x1:x2:step], *spans)
    above, before = starts
    below, after = (NEAR_PX - start - span for start, span in zip(starts, spans, strict=True))
    return np.asarray(cv2.copyMakeBorder(part, above, below, before, after, cv2.BORDER_REPLICATE), np.uint8)
