"""Metrics for Prometheus, and logs without images, file names, keys or (by default) addresses."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

STAGES = ("queue", "decode", "detect", "classify")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
FACES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The figures of one service, in a registry of its own.

    Args:
        queued: returns the number of images in progress.
    """

    def __init__(self, queued: Callable[[], float]) -> None:
        # The library's global registry refuses the same names of a second service in the process.
        self.registry = CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        prometheus_client.PlatformCollector(registry=self.registry)
        r = self.registry
        self.requests = Counter("mien_requests", "Requests answered.", ("route", "method", "status"), registry=r)
        self.in_progress = Gauge("mien_requests_in_progress", "Requests in progress.", registry=r)
        self.seconds = Histogram("mien_request_seconds", "Request duration.", ("route",), buckets=SECONDS, registry=r)
        self.stages = Histogram("mien_stage_seconds", "Duration by stage.", ("stage",), buckets=SECONDS, registry=r)
        self.images = Counter("mien_images", "Images by outcome: read, or the problem.", ("outcome",), registry=r)
        self.faces = Counter("mien_faces", "Faces found.", registry=r)
        self.received = Counter("mien_received_bytes", "Request bytes received.", registry=r)
        self.batches = Histogram("mien_batch_faces", "Faces per model run.", buckets=FACES, registry=r)
        Gauge("mien_queue_images", "Images in progress.", registry=r).set_function(queued)
        self.jobs = Counter("mien_jobs", "Finished video jobs by outcome.", ("outcome",), registry=r)
        self.video_frames = Counter("mien_video_frames", "Video frames analyzed.", registry=r)
        self._job_states = Gauge("mien_jobs_now", "Video jobs by state.", ("state",), registry=r)
        # So that every stage is exported from the start, with zero.
        for stage in STAGES:
            self.stages.labels(stage)

    def watch_jobs(self, count: Callable[[], dict[str, int]]) -> None:
        """Count the jobs by state at each scrape."""
        for state in count():
            self._job_states.labels(state).set_function(lambda state=state: count()[state])  # type: ignore[misc]

    def watch_streams(self, figures: Callable[[], tuple[int, int, int]]) -> None:
        """Report live streams: open ones, frames analyzed, frames dropped for newer ones."""
        names = ("mien_streams_open", "mien_stream_frames_read", "mien_stream_frames_dropped")
        helps = ("Open live streams.", "Stream frames analyzed.", "Stream frames dropped for newer ones.")
        for place, (name, text) in enumerate(zip(names, helps, strict=True)):
            gauge = Gauge(name, text, registry=self.registry)
            gauge.set_function(lambda place=place: figures()[place])  # type: ignore[misc]

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return prometheus_client.generate_latest(self.registry)


LOGGER = "mien.service"


class JsonFormatter(logging.Formatter):
    """A record as a JSON object; its `extra={"fields": {…}}` becomes keys."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        entry |= getattr(record, "fields", {})
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False, default=str)


class PlainFormatter(logging.Formatter):
    """A record as a line for people: time, level unless it is info, message, fields."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        fields = " ".join(f"{name}={value}" for name, value in getattr(record, "fields", {}).items())
        line = f"{datetime.fromtimestamp(record.created):%H:%M:%S} {level}{record.getMessage()} {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def start_logs(level: str) -> None:
    """Send the logs of the service and of its server to stderr: plain lines in a terminal, JSON otherwise."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PlainFormatter() if sys.stderr.isatty() else JsonFormatter())
    for name in (LOGGER, "uvicorn", "python_multipart"):
        logger = logging.getLogger(name)
        # Not passed on: handlers of the root logger would write each line again.
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level.upper())
    # They repeat the service's own line, with the client's address.
    for name in ("uvicorn.access", "python_multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").addFilter(_is_no_connection)


def _is_no_connection(record: logging.LogRecord) -> bool:
    """Suppress uvicorn's WebSocket lines, which contain the client's address and the options."""
    message = record.getMessage()
    return record.levelno > logging.INFO or not ('"WebSocket ' in message or message.startswith("connection "))
