"""The analysis behind the routes: models loaded once, threads that find faces, batches that classify them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Unpack

import numpy as np

from mien.apps.service.admission import Admission
from mien.apps.service.metrics import Metrics
from mien.apps.service.problems import Problem
from mien.apps.service.settings import Settings
from mien.apps.service.uploads import decode_image
from mien.errors import ConfigError
from mien.faces.detection import Detector
from mien.faces.detectors import create_detector
from mien.reading.classifier import Float32, Model, UInt8, load_model
from mien.reading.face_reader import Inspection, ReaderKeywords
from mien.reading.pipeline import Pipeline
from mien.structures import Detections, Face, Frame, Readings

WARM_UP_S = 10.0


@dataclass(frozen=True)
class AnalyzeOptions:
    """How images are analyzed; each field is described in `mien.apps.service.analyze.AnalyzeQuery`."""

    model: str | None = None
    detector: str | None = None
    labels: str = "seven"
    head: str | None = None
    min_confidence: float = 0.0
    min_quality: float = 0.0
    max_faces: int | None = None
    boxes_only: bool = False
    geometry: bool = False


@dataclass(frozen=True)
class Reading:
    """The result of one image.

    Args:
        width, height: in pixels, upright.
        faces: with their expressions, except with `boxes_only`.
        detector: the detector used.
        seconds: time by stage.
    """

    width: int
    height: int
    faces: list[Face]
    detector: str
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Found:
    """Faces waiting for the model; the image itself is already released."""

    pipeline: Pipeline
    shape: tuple[int, ...]
    detections: Detections
    inputs: UInt8
    inspection: Inspection
    seconds: dict[str, float]


class Engine:
    """Analyzes images for all requests; created before the event loop runs, started in it.

    Args:
        settings: which models and how many threads.
        metrics, admission: record what happens.
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
        """Load the models and run each once.

        Raises:
            MienError: a model or detector cannot be loaded.
        """
        loop = asyncio.get_running_loop()
        # A pool gives tasks to whichever thread is free; the barrier holds each until all have one.
        everyone = threading.Barrier(self._settings.worker_threads)
        warming = [
            loop.run_in_executor(self._workers, self._warm, everyone) for _ in range(self._settings.worker_threads)
        ]
        # In another pool: the workers are busy warming up.
        self.models = await loop.run_in_executor(None, self._load)
        await asyncio.gather(*warming)
        for name, model in self.models.items():
            self._batchers[name] = Batcher(
                model,
                max_faces=self._settings.batch_faces,
                wait_s=self._settings.batch_wait_ms / 1000,
                others_coming=lambda: self._reading > 0,
                observe=self._metrics.batches.observe,
            )
        self.ready = True

    async def close(self) -> None:
        """Stop the threads."""
        self.ready = False
        for batcher in self._batchers.values():
            await batcher.close()
        self._workers.shutdown(cancel_futures=True)

    def choose_model(self, name: str | None) -> Model:
        """The served model by `name` or `name@version`, the first for None; a Problem lists them if there is none."""
        if not self.ready:
            raise Problem("not-ready", "the model is loading; try again soon", headers={"Retry-After": "1"})
        if name is None:
            return next(iter(self.models.values()))
        for model in self.models.values():
            # Several versions of a model may be served; its bare name means the first of them.
            if name in (model.name, f"{model.name}@{model.version}"):
                return model
        raise Problem("unknown-model", f"unknown model: expected one of {', '.join(self.models)}")

    def create_pipeline(self, **options: Unpack[ReaderKeywords]) -> Pipeline:
        """A pipeline of its own for a video or stream, with the default model and detector."""
        return Pipeline(self.choose_model(None), **({"detector": self._settings.detector} | options))

    async def read(self, data: bytes, options: AnalyzeOptions, *, name: str = "the image") -> Reading:
        """Analyze one image; cancellation frees its place.

        Raises:
            SourceError: it is damaged or too large.
            ConfigError: the options are invalid.
            Problem: an unknown model, or the service is not ready.
        """
        model = self.choose_model(options.model)
        found = await self._find(data, options, model, name)
        entered = time.perf_counter()
        faces = self._describe_unread(found) if options.boxes_only else await self._classify(found, model)
        found.seconds["classify"] = time.perf_counter() - entered
        self._count(found, len(faces))
        height, width = found.shape[:2]
        return Reading(width, height, faces, found.pipeline.detector.name, found.seconds)

    async def _find(self, data: bytes, options: AnalyzeOptions, model: Model, name: str) -> _Found:
        self._reading += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._workers, self._look, data, options, model, name, time.perf_counter()
            )
        finally:
            self._reading -= 1
            # A batch may be waiting for the faces of this image, which had none or could not be read.
            if self._reading == 0:
                for batcher in self._batchers.values():
                    batcher.poke()

    async def _classify(self, found: _Found, model: Model) -> list[Face]:
        logits: Logits = await self._batchers[f"{model.name}@{model.version}"].run(found.inputs)
        pipeline = found.pipeline
        return pipeline.describe(found.shape, found.detections, pipeline.interpret(logits), found.inspection)

    def _describe_unread(self, found: _Found) -> list[Face]:
        """The faces with equal probabilities: only their boxes matter."""
        count = len(found.pipeline.labels)
        even = np.full((len(found.detections), count), 1 / count, np.float32)
        unread = Readings(even, np.full((len(even), 6), np.nan, np.float32))
        return found.pipeline.describe(found.shape, found.detections, unread, found.inspection)

    def _look(self, data: bytes, options: AnalyzeOptions, model: Model, name: str, asked: float) -> _Found:
        """Decode an image and find its faces, on a worker thread."""
        began = time.perf_counter()
        try:
            pipeline = self._pipeline(options, model)
        except ConfigError as error:
            # The original message names folders of this machine.
            raise Problem(
                "invalid-request", f"detector {options.detector} is not available here: leave the option out"
            ) from error
        image = decode_image(data, name=name, max_pixels=self._settings.max_pixels)
        decoded = time.perf_counter()
        detections = pipeline.detector.detect(image)[: options.max_faces]
        frame = Frame(image, name)
        inputs = pipeline.crop(frame, detections)
        inspection = pipeline.inspect(frame, detections, inputs)
        seconds = {"queue": began - asked, "decode": decoded - began, "detect": time.perf_counter() - decoded}
        return _Found(pipeline, image.shape, detections, inputs, inspection, seconds)

    def _pipeline(self, options: AnalyzeOptions, model: Model) -> Pipeline:
        """A pipeline with these options and this thread's own detector; ConfigError if that is not available."""
        return Pipeline(
            model, detector=self._detector(options.detector or self._settings.detector), labels=options.labels,
            head=options.head, min_confidence=options.min_confidence, min_quality=options.min_quality,
            geometry=options.geometry, max_pixels=self._settings.max_pixels,
        )  # fmt: skip

    def _detector(self, name: str) -> Detector:
        # A detector finds faces in one image at a time, behind a lock: threads that share one would wait in turn.
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
                raise ConfigError(f"{key} is listed twice: each model version can be served once")
            models[key] = model
            # So that the first request does not pay for the first run.
            model.predict([np.zeros((64, 64, 3), np.uint8)])
        return models

    def _warm(self, everyone: threading.Barrier) -> None:
        """Create this thread's detector and run it once; the barrier makes every thread take part."""
        # A late thread is no reason to fail: it creates its detector with its first image.
        with contextlib.suppress(threading.BrokenBarrierError):
            everyone.wait(WARM_UP_S)
        self._detector(self._settings.detector).detect(np.zeros((64, 64, 3), np.uint8))

    def _count(self, found: _Found, faces: int) -> None:
        for stage, seconds in found.seconds.items():
            self._metrics.stages.labels(stage).observe(seconds)
        self._metrics.faces.inc(faces)
        # The queue is left out: the estimate multiplies this by the queue's length.
        self._admission.note(found.seconds["decode"] + found.seconds["detect"])


Logits = dict[str, Float32]


@dataclass(frozen=True)
class _Waiting:
    inputs: UInt8
    answer: asyncio.Future[Logits]


class Batcher:
    """Micro-batching: faces of concurrent requests share a model run. All methods are for the event loop's thread.

    A run starts when there are `max_faces`, when the first face has waited `wait_s`, or at once if no other faces are
    on their way: a single client never waits. While the model runs, the next batch gathers.

    Args:
        model: run on its own thread.
        max_faces: most faces per run, except for a single image with more.
        wait_s: longest wait for other faces, in seconds.
        others_coming: whether images are in progress whose faces have not arrived.
        observe: called with the number of faces of each run.
    """

    def __init__(
        self,
        model: Model,
        *,
        max_faces: int,
        wait_s: float,
        others_coming: Callable[[], bool],
        observe: Callable[[float], None],
    ) -> None:
        self._model, self._max_faces, self._wait_s = model, max_faces, wait_s
        self._others_coming, self._observe = others_coming, observe
        self._waiting: list[_Waiting] = []
        self._changed = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="mien-model")
        self._task = asyncio.get_running_loop().create_task(self._serve())

    async def run(self, inputs: UInt8) -> Logits:
        """Logits (N, K) of every head for faces that `Model.prepare` made, uint8 (N, C, H, W).

        Raises:
            ArtifactError: the graph cannot run.
        """
        # Without faces the graph does not run, so this does not block the event loop.
        if len(inputs) == 0:
            return self._model.run(inputs)
        waiting = _Waiting(inputs, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._changed.set()
        return await waiting.answer

    def poke(self) -> None:
        """Check again whether others are coming."""
        self._changed.set()

    async def close(self) -> None:
        """Stop; waiting calls are cancelled."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for waiting in self._waiting:
            waiting.answer.cancel()
        self._thread.shutdown()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._gather()
            try:
                answers = await loop.run_in_executor(self._thread, self._compute, [entry.inputs for entry in batch])
            except Exception as error:
                # Any error belongs to the requests that wait for this batch.
                for entry in batch:
                    if not entry.answer.done():
                        entry.answer.set_exception(error)
                continue
            # A client that has left has cancelled its future, and a result for that would raise.
            for entry, logits in zip(batch, answers, strict=True):
                if not entry.answer.done():
                    entry.answer.set_result(logits)

    async def _gather(self) -> list[_Waiting]:
        """The next batch: at least one entry, none of disconnected clients."""
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while True:
            # Cleared before looking, so that whatever arrives meanwhile ends the wait below.
            self._changed.clear()
            self._waiting = [entry for entry in self._waiting if not entry.answer.done()]
            if self._waiting:
                # Counted from the first entry; later ones do not extend it.
                deadline = deadline or loop.time() + self._wait_s
                faces = sum(len(entry.inputs) for entry in self._waiting)
                left_s = deadline - loop.time()
                if faces >= self._max_faces or left_s <= 0 or not self._others_coming():
                    return self._take()
            else:
                deadline, left_s = None, None
            try:
                async with asyncio.timeout(left_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _take(self) -> list[_Waiting]:
        # The oldest always goes, even if it is above the limit by itself: an image is never split.
        batch = [self._waiting.pop(0)]
        faces = len(batch[0].inputs)
        while self._waiting and faces + len(self._waiting[0].inputs) <= self._max_faces:
            batch.append(self._waiting.pop(0))
            faces += len(batch[-1].inputs)
        return batch

    def _compute(self, inputs: list[UInt8]) -> list[Logits]:
        logits = self._model.run(np.concatenate(inputs))
        ends = np.cumsum([len(faces) for faces in inputs])
        self._observe(int(ends[-1]))
        return [
            {head: rows[end - len(faces) : end] for head, rows in logits.items()}
            for faces, end in zip(inputs, ends.tolist(), strict=True)
        ]
