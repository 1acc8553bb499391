"""What Prometheus reads: counters and histograms of one service."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

STAGES = ("queue", "decode", "detect", "classify")
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
FACES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """The figures of one service, in a registry of its own.

    Args:
        queued: tells how many pictures are in hand.
    """

    def __init__(self, queued: Callable[[], float]) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        r = self.registry
        self.requests = Counter("mien_requests", "Requests answered.", ("route", "method", "status"), registry=r)
        self.in_progress = Gauge("mien_requests_in_progress", "Requests in hand.", registry=r)
        self.seconds = Histogram("mien_request_seconds", "Time of a request.", ("route",), buckets=SECONDS, registry=r)
        self.stages = Histogram("mien_stage_seconds", "Time by stage.", ("stage",), buckets=SECONDS, registry=r)
        self.pictures = Counter("mien_pictures", "Pictures read, or why they were not.", ("outcome",), registry=r)
        self.faces = Counter("mien_faces", "Faces found.", registry=r)
        self.received = Counter("mien_received_bytes", "Bytes of request bodies.", registry=r)
        self.batches = Histogram("mien_batch_faces", "Faces in a run of the model.", buckets=FACES, registry=r)
        Gauge("mien_queue_pictures", "Pictures in hand.", registry=r).set_function(queued)
        self.jobs = Counter("mien_jobs", "Video jobs that ended, by how.", ("outcome",), registry=r)
        self.video_frames = Counter("mien_video_frames", "Frames of videos read.", registry=r)
        self._job_states = Gauge("mien_jobs_now", "Video jobs there are, by state.", ("state",), registry=r)
        for stage in STAGES:
            self.stages.labels(stage)

    def watch_jobs(self, count: Callable[[], dict[str, int]]) -> None:
        """Have the jobs counted, by state, whenever figures are asked for."""
        for state in count():
            self._job_states.labels(state).set_function(lambda state=state: count()[state])  # type: ignore[misc]

    def watch_streams(self, figures: Callable[[], tuple[int, int, int]]) -> None:
        """Have live streams counted: open ones, frames read, frames dropped for newer ones."""
        names = ("mien_streams_open", "mien_stream_frames_read", "mien_stream_frames_dropped")
        helps = ("Live streams that are open.", "Frames of live streams read.", "Frames left out for newer ones.")
        for place, (name, text) in enumerate(zip(names, helps, strict=True)):
            gauge = Gauge(name, text, registry=self.registry)
            gauge.set_function(lambda place=place: figures()[place])  # type: ignore[misc]

    def text(self) -> bytes:
        """All of it in Prometheus's text format."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)
