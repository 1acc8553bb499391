"""The reading behind the routes: models that are loaded once, threads that find faces, batches that classify them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from mien.apps.service.admission import Admission
from mien.apps.service.batching import Batcher, Logits
from mien.apps.service.metrics import Metrics
from mien.apps.service.problems import Problem
from mien.apps.service.settings import Settings
from mien.errors import ConfigError
from mien.faces.detection import Detector
from mien.faces.detectors import create_detector
from mien.reading.classifier import Model, UInt8, load_model
from mien.reading.pipeline import Pipeline
from mien.structures import Detections, Face, Frame

WARM_UP_S = 10.0


@dataclass(frozen=True)
class Wishes:
    """How pictures are to be read; see `mien.reading.pipeline.Pipeline`.

    Args:
        model: name of a served model; None for the first one.
        detector: `auto`, `mien`, `yunet`, `haar`, `none`; None for the settings' one.
        labels: `seven` or `eight`.
        head: one of the model's heads; None for its default.
        min_confidence: a face whose highest probability is under it counts as abstained, 0–1.
        max_faces: most faces of a picture, the detector's surest first; None for all.
        boxes_only: find faces, do not read them.
    """

    model: str | None = None
    detector: str | None = None
    labels: str = "seven"
    head: str | None = None
    min_confidence: float = 0.0
    max_faces: int | None = None
    boxes_only: bool = False


@dataclass(frozen=True)
class Reading:
    """What came of one picture.

    Args:
        width, height: in pixels, upright.
        faces: with their expressions; without where only boxes were asked for.
        detector: the one that found them.
        seconds: by stage.
    """

    width: int
    height: int
    faces: list[Face]
    detector: str
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Found:
    """Faces that wait for the model; the picture itself is let go."""

    pipeline: Pipeline
    shape: tuple[int, ...]
    detections: Detections
    inputs: UInt8
    seconds: dict[str, float]


class Engine:
    """Reads pictures for all requests; made before the event loop runs, started in it.

    Args:
        settings: which models and how many threads.
        metrics, admission: are told what happens.
    """

    def __init__(self, settings: Settings, metrics: Metrics, admission: Admission) -> None:
        self._settings, self._metrics, self._admission = settings, metrics, admission
        self.models: dict[str, Model] = {}
        self.ready = False
        self._batchers: dict[str, Batcher] = {}
        self._own = threading.local()
        self._workers = ThreadPoolExecutor(settings.worker_threads, thread_name_prefix="mien-worker")
        self._reading = 0

    async def start(self) -> None:
        """Load the models, run each once, then be ready.

        Raises:
            MienError: a model or detector cannot be loaded.
        """
        loop = asyncio.get_running_loop()
        everyone = threading.Barrier(self._settings.worker_threads)
        warming = [
            loop.run_in_executor(self._workers, self._warm, everyone) for _ in range(self._settings.worker_threads)
        ]
        self.models = await loop.run_in_executor(None, self._load)
        await asyncio.gather(*warming)
        for name, model in self.models.items():
            self._batchers[name] = Batcher(
                model,
                max_faces=self._settings.batch_faces,
                wait_s=self._settings.batch_wait_ms / 1000,
                others_coming=lambda: self._reading > 0,
                observe=self._observe_batch,
            )
        self.ready = True

    async def close(self) -> None:
        """Let go of the threads."""
        self.ready = False
        for batcher in self._batchers.values():
            await batcher.close()
        self._workers.shutdown(cancel_futures=True)

    @property
    def default_model(self) -> Model:
        """The model that reads when none is asked for."""
        return next(iter(self.models.values()))

    def choose_model(self, name: str | None) -> Model:
        """The served model of that name, `name` or `name@version`; the first one for None.

        Raises:
            Problem: naming those that there are.
        """
        if not self.ready:
            raise Problem("not-ready", "the model is being loaded, try again soon", headers={"Retry-After": "1"})
        if name is None:
            return self.default_model
        for model in self.models.values():
            if name in (model.name, f"{model.name}@{model.version}"):
                return model
        raise Problem("unknown-model", f"unknown model: this service has {', '.join(self.models)}")

    async def read(self, data: bytes, wishes: Wishes, *, name: str = "the picture") -> Reading:
        """Read one picture; cancelled, it gives up its place.

        Raises:
            SourceError: it is no whole picture, or too large.
            ConfigError: the wishes cannot be fulfilled.
            Problem: an unknown model, or the service is not ready.
        """
        model = self.choose_model(wishes.model)
        found = await self._find(data, wishes, model, name)
        entered = time.perf_counter()
        faces = self._describe_unread(found) if wishes.boxes_only else await self._classify(found, model)
        found.seconds["classify"] = time.perf_counter() - entered
        self._count(found, len(faces))
        height, width = found.shape[:2]
        return Reading(width, height, faces, found.pipeline.detector.name, found.seconds)

    async def _find(self, data: bytes, wishes: Wishes, model: Model, name: str) -> _Found:
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._workers, self._look, data, wishes, model, name, time.perf_counter()
            )
        finally:
            self._reading -= 1
            if self._reading == 0:
                for batcher in self._batchers.values():
                    batcher.poke()

    async def _classify(self, found: _Found, model: Model) -> list[Face]:
        logits: Logits = await self._batchers[f"{model.name}@{model.version}"].run(found.inputs)
        pipeline = found.pipeline
        return pipeline.describe(_blank(found.shape), found.detections, pipeline.interpret(logits))

    def _describe_unread(self, found: _Found) -> list[Face]:
        """The faces, all expressions alike: only their boxes count."""
        count = len(found.pipeline.labels)
        even = np.full((len(found.detections), count), 1 / count, np.float32)
        return found.pipeline.describe(_blank(found.shape), found.detections, even)

    def _look(self, data: bytes, wishes: Wishes, model: Model, name: str, asked: float) -> _Found:
        """Decode a picture and find its faces; on a worker's thread."""
        from mien.apps.service.pictures import decode_picture

        began = time.perf_counter()
        try:
            pipeline = self._pipeline(wishes, model)
        except ConfigError as error:
            # Its message names folders of this machine.
            raise Problem(
                "invalid-request", f"detector: this service has no {wishes.detector}, leave it out"
            ) from error
        image = decode_picture(data, name=name, max_pixels=self._settings.max_pixels)
        decoded = time.perf_counter()
        detections = pipeline.detector.detect(image)[: wishes.max_faces]
        inputs = model.prepare([]) if wishes.boxes_only else pipeline.crop(Frame(image, name), detections)
        seconds = {"queue": began - asked, "decode": decoded - began, "detect": time.perf_counter() - decoded}
        return _Found(pipeline, image.shape, detections, inputs, seconds)

    def _pipeline(self, wishes: Wishes, model: Model) -> Pipeline:
        """A pipeline for these wishes; detectors lock, so each thread has its own."""
        return Pipeline(
            model, detector=self._detector(wishes.detector or self._settings.detector), labels=wishes.labels,
            head=wishes.head, min_confidence=wishes.min_confidence, max_pixels=self._settings.max_pixels,
        )  # fmt: skip

    def _detector(self, name: str) -> Detector:
        """The thread's own detector of that name.

        Raises:
            ConfigError: it is not available.
        """
        detectors: dict[str, Detector] = self._own.__dict__.setdefault("detectors", {})
        if name not in detectors:
            detectors[name] = create_detector(name)
        return detectors[name]

    def _load(self) -> dict[str, Model]:
        models: dict[str, Model] = {}
        names: Sequence[str | None] = self._settings.models or [None]
        for name in names:
            model = load_model(
                name,
                threads=self._settings.model_threads or None,
                flip=self._settings.flip,
                balance=self._settings.balance,
            )
            key = f"{model.name}@{model.version}"
            if key in models:
                raise ConfigError(f"two of the models are {key}: each version can be served once")
            models[key] = model
            model.predict([np.zeros((64, 64, 3), np.uint8)])
        return models

    def _warm(self, everyone: threading.Barrier) -> None:
        """Make the thread's detector and use it once; everyone waits, so that each thread has its turn.

        Raises:
            MienError: the detector cannot be made.
        """
        with contextlib.suppress(threading.BrokenBarrierError):
            everyone.wait(WARM_UP_S)
        self._detector(self._settings.detector).detect(np.zeros((64, 64, 3), np.uint8))

    def _observe_batch(self, faces: int, seconds: float) -> None:
        self._metrics.batches.observe(faces)

    def _count(self, found: _Found, faces: int) -> None:
        for stage, seconds in found.seconds.items():
            self._metrics.stages.labels(stage).observe(seconds)
        self._metrics.faces.inc(faces)
        self._admission.note(found.seconds["decode"] + found.seconds["detect"])


def _blank(shape: tuple[int, ...]) -> Frame:
    """A picture of that size without memory: describing faces asks only for the size."""
    return Frame(np.broadcast_to(np.uint8(0), shape))
