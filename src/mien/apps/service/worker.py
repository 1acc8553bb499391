"""`mien worker`: reads video jobs without serving anything, until it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal

import cv2

from mien.apps.service.metrics import start_logs
from mien.apps.service.settings import Settings
from mien.apps.service.state import Service
from mien.errors import ConfigError

log = logging.getLogger("mien.service")


def work(settings: Settings) -> None:
    """Read jobs until SIGTERM or SIGINT; those in progress are handed back.

    Raises:
        ConfigError: the settings name no shared store, or no workers.
        MienError: a model cannot be loaded, or the store not opened.
    """
    if settings.jobs is None:
        raise ConfigError("a worker reads the jobs of other services: set MIEN_SERVICE_JOBS=postgresql://…")
    if not settings.video_workers or not settings.video_queue:
        raise ConfigError("a worker reads videos: video_workers and video_queue are numbers from 1")
    start_logs(settings.log_level)
    if settings.video_workers > 1:
        cv2.setNumThreads(1)
    asyncio.run(_work(Service(settings)))


async def _work(service: Service) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Windows has no handlers of the loop.
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))
    await service.engine.start()
    try:
        service.jobs.start()
        log.info("ready", extra={"fields": {"models": list(service.engine.models)}})
        await stop.wait()
    finally:
        await service.jobs.close()
        await service.engine.close()
