"""From pictures to faces with expressions: read, detect, crop, classify; a bad picture stops no other."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mien.errors import SourceError
from mien.images.pictures import MAX_PIXELS
from mien.reading.classifier import BATCH, Model
from mien.reading.face_reader import FaceReader
from mien.reading.streaming import StreamOptions, StreamSource, iter_results
from mien.sources.pictures import Item, Source, iter_items, read_item
from mien.structures import Detections, Face, Frame, Result

if TYPE_CHECKING:
    from mien.faces.detection import Detector
    from mien.reading.profile import Profile

UInt8 = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

MAX_PENDING_PICTURES = 16
MAX_PENDING_PIXELS = 16_000_000
"""Pictures wait for one another until there are enough faces for a batch, or this much to keep in memory."""


@dataclass(frozen=True)
class _Pending:
    """A picture whose faces wait to be classified."""

    result: Result
    detections: Detections
    inputs: UInt8


class Pipeline(FaceReader):
    """Reads the expressions of all faces in pictures; made once, used for many.

    Args:
        model: a loaded model, a bundled name, the folder of an artifact; none for the default.
        detector: `auto`, `mien`, `yunet`, `haar`, `none` (the picture is a face crop already), or one's own.
        labels: `seven`, or `eight` with contempt.
        head: which of the model's heads speaks; default the manifest's.
        min_confidence: a face whose highest probability is under it counts as abstained, 0–1.
        max_pixels: limit on a picture's width × height, checked before it is decoded.
        flip: read each face and its mirror image as well, twice the work; None for what the model is set to.
        balance: from 0, expressions as frequent as in the data, to 1, all equally frequent; None as for `flip`.

    Raises:
        ConfigError, ArtifactError: as the parts do.
    """

    def analyze(self, source: Source) -> list[Face]:
        """The faces of one picture.

        Args:
            source: a file's path, a file's bytes, or an array: RGB uint8 (H, W, 3) or grey (H, W).

        Raises:
            SourceError: when it cannot be read.
        """
        if isinstance(source, str | os.PathLike):
            item = Item(os.fspath(source), Path(source))
        else:
            item = next(iter_items(source))
        return self.analyze_frame(read_item(item, max_pixels=self.max_pixels))

    def analyze_frame(self, frame: Frame) -> list[Face]:
        """The faces of a picture that is decoded already."""
        detections = self.detector.detect(frame.image)
        return self.describe(frame, detections, self.probabilities(self.crop(frame, detections)))

    def stream(
        self, source: StreamSource, options: StreamOptions | None = None, *, profile: Profile | None = None
    ) -> Iterator[Result]:
        """Follow the faces of a video, a camera or a stream: one result a frame, in order, also without a face.

        Args:
            source: a video file's path, a camera's number or device, an address, a folder or pattern of pictures, or
                any `FrameSource`; see `mien.sources.factory.open_source`.
            options: which frames, tracking and smoothing.
            profile: adds up the time by stage.

        Raises:
            SourceError: the source cannot be opened, or breaks off; the frames before that were given.
        """
        yield from iter_results(self, source, options or StreamOptions(), profile)

    def run(self, sources: Source | Iterable[Source]) -> Iterator[Result]:
        """Analyze many pictures, lazily and in order; faces of neighbouring pictures share a batch.

        Args:
            sources: as `mien.sources.pictures.iter_items` takes them: files, folders, patterns, `-`, arrays.

        Yields:
            One result a picture, with its error where it cannot be read.
        """
        pending: list[_Pending] = []
        for item in iter_items(sources):
            pending.append(self._open(item))
            if _is_enough(pending):
                yield from self._finish(pending)
                pending = []
        yield from self._finish(pending)

    def _open(self, item: Item) -> _Pending:
        started = time.perf_counter()
        try:
            frame = read_item(item, max_pixels=self.max_pixels)
        except SourceError as error:
            result = Result(item.name, None, [], error, time.perf_counter() - started)
            return _Pending(result, Detections.empty(), self.model.prepare([]))
        detections = self.detector.detect(frame.image)
        inputs = self.crop(frame, detections)
        result = Result(item.name, frame, [], None, time.perf_counter() - started)
        return _Pending(result, detections, inputs)

    def _finish(self, pending: Sequence[_Pending]) -> Iterator[Result]:
        if not pending:
            return
        started = time.perf_counter()
        probabilities = self.probabilities(np.concatenate([entry.inputs for entry in pending]))
        share_s = (time.perf_counter() - started) / max(len(probabilities), 1)
        row = 0
        for entry in pending:
            count = len(entry.inputs)
            if (frame := entry.result.frame) is None:
                yield entry.result
                continue
            faces = self.describe(frame, entry.detections, probabilities[row : row + count])
            yield replace(entry.result, faces=faces, seconds=entry.result.seconds + share_s * count)
            row += count


def _is_enough(pending: Sequence[_Pending]) -> bool:
    frames = [entry.result.frame for entry in pending if entry.result.frame is not None]
    return (
        len(pending) >= MAX_PENDING_PICTURES
        or sum(frame.image.size // 3 for frame in frames) >= MAX_PENDING_PIXELS
        or sum(len(entry.inputs) for entry in pending) >= BATCH
    )


def analyze(
    source: Source,
    *,
    model: Model | str | Path | None = None,
    detector: Detector | str = "auto",
    labels: str = "seven",
    head: str | None = None,
    min_confidence: float = 0.0,
    max_pixels: int = MAX_PIXELS,
    flip: bool | None = None,
    balance: float | None = None,
) -> list[Face]:
    """The faces of one picture; for many pictures make a `Pipeline` once, this loads the model at each call.

    Args:
        source: a file's path, a file's bytes, or an array: RGB uint8 (H, W, 3) or grey (H, W).
        model, detector, labels, head, min_confidence, max_pixels, flip, balance: as `Pipeline` takes them.

    Raises:
        SourceError: when the picture cannot be read.
        ConfigError, ArtifactError: as `Pipeline` does.
    """
    pipeline = Pipeline(
        model,
        detector=detector,
        labels=labels,
        head=head,
        min_confidence=min_confidence,
        max_pixels=max_pixels,
        flip=flip,
        balance=balance,
    )
    return pipeline.analyze(source)
