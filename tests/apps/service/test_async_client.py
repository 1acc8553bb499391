"""`mien.client.AsyncClient` against the service itself, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from clips import write_clip
from service_runs import InProcess, make_image, running

from mien.client import AsyncClient, InvalidRequestError, NotFoundError


@pytest.fixture(scope="module")
def service(toy_artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    with running(toy_artifact, state_dir=tmp_path_factory.mktemp("jobs") / "state") as started:
        yield started


def client(service: InProcess) -> AsyncClient:
    return AsyncClient("http://localhost", transport=httpx.ASGITransport(service.app))


def test_images_and_models_are_asked_for_together(service: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    path.write_bytes(make_image(1))

    async def work() -> None:
        async with client(service) as asked:
            one, several, models = await asyncio.gather(
                asked.analyze(path), asked.analyze([make_image(n) for n in range(10)] + [b"none"]), asked.models()
            )
        assert [len(result.faces) for result in one] == [1]
        assert [len(result.faces) for result in several] == [1] * 10 + [0]
        assert [isinstance(result.error, InvalidRequestError) for result in several] == [False] * 10 + [True]
        assert one[0].faces == several[1].faces
        assert [model.name for model in models] == ["toy"]

    service.run(work())


def test_a_video_is_read_while_images_are(service: InProcess, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "film.mp4", [index / 10 for index in range(6)])

    async def work() -> None:
        async with client(service) as asked:
            job = await asked.submit_video(path, track=False)
            done, results = await asyncio.gather(job.wait(timeout_s=60), asked.analyze(make_image()))
            assert done is job
            assert len(results) == 1
            again = await asked.job(job.id)
            assert [row["frame"] for row in await again.rows()] == list(range(6))
            assert (await job.csv()).count("\n") == 7
            await job.cancel()
            with pytest.raises(NotFoundError):
                await job.refresh()

    service.run(work())
