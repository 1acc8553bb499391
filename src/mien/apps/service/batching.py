"""Micro-batching: the faces of requests that come at the same time share one run of the model."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from mien.reading.classifier import Float32, Model, UInt8

Logits = dict[str, Float32]


@dataclass(frozen=True)
class _Waiting:
    inputs: UInt8
    answer: asyncio.Future[Logits]


class Batcher:
    """Runs one model for many; every method is for the event loop's thread.

    A run starts when there are `max_faces`, when the first face has waited `wait_s`, or at once when nobody else is
    about to bring some: a single client never waits. While the model runs, the next batch gathers.

    Args:
        model: what is run, on a thread of its own.
        max_faces: most faces in a run, but for a picture that has more by itself.
        wait_s: longest wait for others, in seconds.
        others_coming: whether pictures are being read whose faces are not here yet.
        observe: is told the number of faces and the seconds of each run.
    """

    def __init__(
        self,
        model: Model,
        *,
        max_faces: int,
        wait_s: float,
        others_coming: Callable[[], bool],
        observe: Callable[[int, float], None],
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
        if len(inputs) == 0:
            return self._model.run(inputs)
        waiting = _Waiting(inputs, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._changed.set()
        return await waiting.answer

    def poke(self) -> None:
        """Look again whether others are coming."""
        self._changed.set()

    async def close(self) -> None:
        """End; who still waits is cancelled."""
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
                # Whatever it is belongs to those who wait for it.
                for entry in batch:
                    if not entry.answer.done():
                        entry.answer.set_exception(error)
                continue
            for entry, logits in zip(batch, answers, strict=True):
                if not entry.answer.done():
                    entry.answer.set_result(logits)

    async def _gather(self) -> list[_Waiting]:
        """The next batch: at least one entry, of clients that are still there."""
        loop = asyncio.get_running_loop()
        deadline: float | None = None
        while True:
            self._changed.clear()
            self._waiting = [entry for entry in self._waiting if not entry.answer.done()]
            if self._waiting:
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
        batch = [self._waiting.pop(0)]
        faces = len(batch[0].inputs)
        while self._waiting and faces + len(self._waiting[0].inputs) <= self._max_faces:
            batch.append(self._waiting.pop(0))
            faces += len(batch[-1].inputs)
        return batch

    def _compute(self, inputs: list[UInt8]) -> list[Logits]:
        started = time.perf_counter()
        logits = self._model.run(np.concatenate(inputs))
        ends = np.cumsum([len(faces) for faces in inputs])
        self._observe(int(ends[-1]), time.perf_counter() - started)
        return [
            {head: rows[end - len(faces) : end] for head, rows in logits.items()}
            for faces, end in zip(inputs, ends.tolist(), strict=True)
        ]
