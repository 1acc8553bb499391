"""Who shares a run of the model, and who waits for whom."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import numpy as np
import pytest

from mien.apps.service.engine import Batcher
from mien.errors import ArtifactError
from mien.reading.classifier import Model, UInt8


class FakeModel:
    """Gives each face its own value; runs only while the gate is open."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def run(self, faces: UInt8) -> dict[str, Any]:
        self.gate.wait(180)
        if self.error:
            raise self.error
        self.sizes.append(len(faces))
        return {"crowd": faces[:, 0, 0, :1].astype(np.float32)}


def faces(*values: int) -> UInt8:
    return np.uint8(values).reshape(-1, 1, 1, 1) * np.ones((1, 1, 2, 2), np.uint8)


def make_batcher(model: FakeModel, *, max_faces: int = 8, wait_s: float = 30, coming: bool = False) -> Batcher:
    return Batcher(
        cast(Model, model), max_faces=max_faces, wait_s=wait_s, others_coming=lambda: coming,
        observe=lambda faces: None,
    )  # fmt: skip


def test_everyone_gets_their_own_faces_of_one_run() -> None:
    async def check() -> None:
        model = FakeModel()
        batcher = make_batcher(model, max_faces=6, coming=True)
        answers = await asyncio.gather(*[batcher.run(faces(n, n + 1)) for n in (10, 20, 30)])
        assert [answer["crowd"].ravel().tolist() for answer in answers] == [[10, 11], [20, 21], [30, 31]]
        assert model.sizes == [6]
        await batcher.close()

    asyncio.run(check())


def test_nobody_waits_when_nobody_else_comes() -> None:
    async def check() -> None:
        model = FakeModel()
        batcher = make_batcher(model)
        assert (await batcher.run(faces(7)))["crowd"].tolist() == [[7]]
        assert model.sizes == [1]
        assert (await batcher.run(faces()))["crowd"].shape == (0, 1)
        await batcher.close()

    asyncio.run(check())


def test_the_wait_for_others_ends() -> None:
    async def check() -> None:
        model = FakeModel()
        batcher = make_batcher(model, wait_s=0.01, coming=True)
        assert (await batcher.run(faces(7)))["crowd"].tolist() == [[7]]
        await batcher.close()

    asyncio.run(check())


def test_a_batch_is_full_and_a_large_image_runs_by_itself() -> None:
    async def check() -> None:
        model = FakeModel()
        batcher = make_batcher(model, max_faces=4)
        model.gate.clear()
        first = asyncio.ensure_future(batcher.run(faces(1)))
        await asyncio.sleep(0.1)
        rest = [asyncio.ensure_future(batcher.run(faces(*range(n)))) for n in (3, 2, 6, 1)]
        await asyncio.sleep(0.1)
        model.gate.set()
        await asyncio.gather(first, *rest)
        assert model.sizes == [1, 3, 2, 6, 1]
        await batcher.close()

    asyncio.run(check())


def test_who_is_gone_is_not_read() -> None:
    async def check() -> None:
        model = FakeModel()
        batcher = make_batcher(model)
        model.gate.clear()
        first = asyncio.ensure_future(batcher.run(faces(1)))
        await asyncio.sleep(0.1)
        gone, stays = asyncio.ensure_future(batcher.run(faces(2))), asyncio.ensure_future(batcher.run(faces(3)))
        await asyncio.sleep(0.1)
        gone.cancel()
        model.gate.set()
        await first
        assert (await stays)["crowd"].tolist() == [[3]]
        assert model.sizes == [1, 1]
        await batcher.close()

    asyncio.run(check())


def test_an_error_belongs_to_its_batch_alone() -> None:
    async def check() -> None:
        model = FakeModel()
        batcher = make_batcher(model)
        model.error = ArtifactError("the graph failed to run")
        with pytest.raises(ArtifactError, match="failed to run"):
            await batcher.run(faces(1))
        model.error = None
        assert (await batcher.run(faces(2)))["crowd"].tolist() == [[2]]
        await batcher.close()

    asyncio.run(check())


def test_closing_lets_go_of_who_waits() -> None:
    async def check() -> None:
        batcher = make_batcher(FakeModel(), coming=True)
        waiting = asyncio.ensure_future(batcher.run(faces(1)))
        await asyncio.sleep(0.1)
        await batcher.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(check())
