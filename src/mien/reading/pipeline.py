"""From pictures to faces with expressions: read, detect, crop, classify; a bad picture stops no other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Unpack, overload

import numpy as np
import numpy.typing as npt

from mien.errors import ConfigError, SourceError, shortened
from mien.reading.classifier import BATCH, Model
from mien.reading.face_reader import FaceReader, Inspection, ReaderKeywords
from mien.reading.results import Result, Results
from mien.sources.inputs import check_color, is_one_image, refusal
from mien.sources.photos import Item, iter_items, name_item, read_item
from mien.structures import Detections, Face, Frame

if TYPE_CHECKING:
    from mien.reading.stages import Profile
    from mien.reading.streaming import StreamOptions, StreamSource
    from mien.sources.inputs import ImageInput

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
    inspection: Inspection


class Pipeline(FaceReader):
    """Estimates the expressions of all faces in images, videos and live sources; made once, used for many.

    It can be pickled, copied and used after a fork: see docs/guide/processes.md.

    Args:
        model: a loaded model, a bundled name, the folder of an artifact; the default model if not given.
        detector: `auto`, `mien`, `yunet`, `haar`, `none` (the image is a face crop already), or one's own.
        labels: `seven`, or `eight` with contempt.
        head: the model's output head; the manifest's default if not given.
        min_confidence: a face whose highest probability is lower is not sure, 0–1; 0 by default.
        min_quality: a face whose quality's score is lower is not sure, 0–1; 0 by default.
        max_pixels: limit on an image's width × height, checked before it is decoded.
        flip: analyze each face and its mirror image as well, twice the work; None for what the model is set to.
        balance: from 0, expressions as frequent as in the data, to 1, all equally frequent; None for what the model is
            set to, or else the rule in its manifest. Results name it.
        geometry: estimate 68 landmarks, irises, head pose and blendshapes of each face as well.
        rotate: turn images and frames clockwise first, by 90, 180 or 270 degrees; `auto`, the default, looks for faces
            in turned ones where it finds none that is sure; 0 does without.
        threads, providers: for the model, as `load_model` takes them.
        temporal: a model that reads the faces of videos over time, on top of `model`, in place of smoothing.

    Raises:
        ConfigError, ArtifactError: as the parts do.
    """

    @overload
    def analyze(self, source: str | os.PathLike[str] | bytes | BinaryIO, *, color: str = "rgb") -> Result: ...

    @overload
    def analyze(self, source: list[Any] | tuple[Any, ...], *, color: str = "rgb") -> Results: ...

    @overload
    def analyze(self, source: Any, *, color: str = "rgb") -> Any: ...

    def analyze(self, source: Any, *, color: str = "rgb") -> Result | Results:
        """The faces of one image, or of several.

        Args:
            source: a path, a file's bytes, an open binary file, a Pillow image, a data URI, or an array: RGB or RGBA
                uint8 (H, W, C) or grey (H, W). A list, or an array (N, H, W, C), for several.
            color: `bgr` for arrays whose first channel is blue, as OpenCV's.

        Returns:
            The result, a sequence of faces; for several images a list of results, with an error where one cannot be
            read.

        Raises:
            SourceError: the one image cannot be read.
            ConfigError: this is not an image.
        """
        check_color(color)
        if not is_one_image(source):
            return Results(self.run(source, color=color))
        item = name_item(source, color=color)
        # An object of a wrong type is the caller's mistake; a name that leads nowhere is the source's.
        if isinstance(item.content, SourceError) and not isinstance(source, str):
            raise ConfigError(str(refusal(source, "source")))
        pending = self._open(item)
        if pending.result.error is not None:
            raise pending.result.error
        (result,) = self._finish([pending])
        return result

    def analyze_frame(self, frame: Frame, detections: Detections | None = None) -> list[Face]:
        """The faces of an image that is decoded already: those given, or else those that the detector finds."""
        if detections is None:
            detections = self.detector.detect(frame.image)
        inputs = self.crop(frame, detections)
        inspection = self.inspect(frame, detections, inputs)
        return self.describe(frame.image.shape, detections, self.read_crops(inputs), inspection)

    def stream(
        self,
        source: StreamSource,
        options: StreamOptions | None = None,
        *,
        color: str = "rgb",
        profile: Profile | None = None,
    ) -> Iterator[Result]:
        """Follow the faces of a video, a camera or a stream: one result a frame, in order, also without a face.

        Args:
            source: a video file's path, a camera's number or device, an address, a folder or pattern of images, a list
                or generator of arrays, a `cv2.VideoCapture`, or any `FrameSource`; see
                `mien.sources.opening.open_source`.
            options: which frames, tracking and smoothing.
            color: `bgr` for arrays whose first channel is blue, as OpenCV's.
            profile: adds up the time by stage.

        Raises:
            SourceError: the source cannot be opened, or breaks off; the frames before that were given.
        """
        # Here, because a photo needs none of it.
        from mien.reading.streaming import StreamOptions, iter_results

        yield from iter_results(self, source, options or StreamOptions(), profile, color=color)

    def run(
        self, sources: ImageInput | Iterable[ImageInput], *, color: str = "rgb",
        on_notice: Callable[[str], None] | None = None,
    ) -> Iterator[Result]:  # fmt: skip
        """Analyze many images, lazily and in order; faces of neighbouring images share a batch.

        Args:
            sources: as `mien.sources.photos.iter_items` takes them: files, folders, patterns, `-`, arrays, and so on.
            color: `bgr` for arrays whose first channel is blue, as OpenCV's.
            on_notice: hears in a sentence what is odd about a file, and what is skipped; a warning of the log `mien`
                if not given.

        Yields:
            One result an image, with its error where it cannot be read.
        """
        pending: list[_Pending] = []
        for item in iter_items(sources, color=color, on_notice=on_notice):
            pending.append(self._open(item, on_notice))
            if _is_enough(pending):
                yield from self._finish(pending)
                pending = []
        yield from self._finish(pending)

    def _open(self, item: Item, on_notice: Callable[[str], None] | None = None) -> _Pending:
        started = time.perf_counter()
        # A name that leads nowhere may be as long as a data URI.
        name = shortened(item.name) if isinstance(item.content, SourceError) else item.name
        try:
            frame = self.turn(read_item(item, max_pixels=self.max_pixels, on_notice=on_notice))
        except SourceError as error:
            result = Result(name, None, [], error, time.perf_counter() - started)
            # No rows, but the right shape for joining them with the others.
            return _Pending(result, Detections.empty(), self.model.prepare([]), Inspection([]))
        detections = self.detector.detect(frame.image)
        inputs = self.crop(frame, detections)
        inspection = self.inspect(frame, detections, inputs)
        result = Result(name, frame, [], None, time.perf_counter() - started, labels=self.labels)
        return _Pending(result, detections, inputs, inspection)

    def _finish(self, pending: Sequence[_Pending]) -> Iterator[Result]:
        if not pending:
            return
        started = time.perf_counter()
        readings = self.read_crops(np.concatenate([entry.inputs for entry in pending]))
        share_s = (time.perf_counter() - started) / max(len(readings), 1)
        row = 0
        for entry in pending:
            count = len(entry.inputs)
            if (frame := entry.result.frame) is None:
                yield entry.result
                continue
            own = readings[row : row + count]
            faces = self.describe(frame.image.shape, entry.detections, own, entry.inspection)
            yield replace(entry.result, faces=faces, seconds=entry.result.seconds + share_s * count)
            row += count


def _is_enough(pending: Sequence[_Pending]) -> bool:
    frames = [entry.result.frame for entry in pending if entry.result.frame is not None]
    return (
        len(pending) >= MAX_PENDING_PICTURES
        or sum(frame.image.size // 3 for frame in frames) >= MAX_PENDING_PIXELS
        or sum(len(entry.inputs) for entry in pending) >= BATCH
    )


@overload
def analyze(
    source: str | os.PathLike[str] | bytes | BinaryIO, *, model: Model | str | Path | None = None,
    color: str = "rgb", **options: Unpack[ReaderKeywords],
) -> Result: ...  # fmt: skip


@overload
def analyze(
    source: list[Any] | tuple[Any, ...], *, model: Model | str | Path | None = None,
    color: str = "rgb", **options: Unpack[ReaderKeywords],
) -> Results: ...  # fmt: skip


@overload
def analyze(
    source: Any, *, model: Model | str | Path | None = None, color: str = "rgb", **options: Unpack[ReaderKeywords]
) -> Any: ...


def analyze(
    source: Any, *, model: Model | str | Path | None = None, color: str = "rgb", **options: Unpack[ReaderKeywords]
) -> Result | Results:
    """The faces of one image, or of several; where you call it often, create a `Pipeline` once: this loads the model.

    Args:
        source: a path, a file's bytes, an open binary file, a Pillow image, a data URI, or an array: RGB or RGBA uint8
            (H, W, C) or grey (H, W). A list, or an array (N, H, W, C), for several.
        model: a loaded model, a bundled name, the folder of an artifact; the default model if not given.
        color: `bgr` for arrays whose first channel is blue, as OpenCV's.
        options: detector, labels, head, min_confidence, min_quality, max_pixels, flip, balance, geometry, rotate,
            threads, providers and temporal, as `Pipeline` takes them.

    Returns:
        The result, a sequence of faces; for several images a list of results, with an error where one cannot be read.

    Raises:
        SourceError: the one image cannot be read.
        ConfigError, ArtifactError: this is not an image, or as `Pipeline` does.
    """
    found: Result | Results = Pipeline(model, **options).analyze(source, color=color)
    return found
