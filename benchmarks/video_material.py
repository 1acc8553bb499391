"""What video.py reads: a 720p clip made of a small one, the same for ten minutes, and a camera that is none."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

SIZE = (1280, 720)


def make_clip(source: Path, target: Path, seconds: float, rate_hz: float) -> Path:
    """Play a clip to and fro, enlarged until it fills 1280×720 and cut to it, as H.264."""
    with av.open(source) as container:
        images = [fill(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    there_and_back = images + images[-2:0:-1]
    with av.open(target, "w") as out:
        options = {"preset": "veryfast", "crf": "20", "bf": "0"}
        stream = out.add_stream("libx264", rate=round(rate_hz), options=options)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        for image in itertools.islice(itertools.cycle(there_and_back), round(seconds * rate_hz)):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")))
        out.mux(stream.encode(None))
    return target


def fill(image: np.ndarray) -> np.ndarray:
    from mien.images.pictures import resize

    width, height = SIZE
    factor = max(width / image.shape[1], height / image.shape[0])
    large = resize(image, round(factor * image.shape[0]), round(factor * image.shape[1]))
    top, left = (large.shape[0] - height) // 2, (large.shape[1] - width) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width])


def loop_clip(source: Path, target: Path, seconds: float) -> Path:
    """The same packets again and again."""
    with av.open(source) as container, av.open(target, "w") as out:
        stream = container.streams.video[0]
        copy = out.add_stream_from_template(stream)
        packets = [(bytes(p), p.pts, p.dts, p.is_keyframe) for p in container.demux(stream) if p.size]
        assert stream.time_base is not None
        step = packets[1][1] - packets[0][1]
        length = packets[-1][1] - packets[0][1] + step
        for round_number in range(round(seconds / float(length * stream.time_base))):
            for data, pts, dts, is_key in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base = copy, stream.time_base
                packet.pts, packet.dts = pts + round_number * length, dts + round_number * length
                packet.duration, packet.is_keyframe = step, is_key
                out.mux(packet)
    return target


def read_frames(clip: Path, count: int) -> list[Any]:
    """The first frames, decoded."""
    from mien.sources.opening import open_source

    with open_source(str(clip)) as source:
        return list(itertools.islice(source, count))


class SyntheticCamera:
    """Shows a new frame every 1/rate seconds and keeps the newest only, as a camera does."""

    def __init__(self, frames: list[Any], rate_hz: float) -> None:
        from mien.sources.stream import StreamInfo

        self._frames, self._step_s = frames, 1 / rate_hz
        self.info = StreamInfo("camera", SIZE[0], SIZE[1], rate_hz, live=True)
        self._started = 0.0
        self._closed = threading.Event()

    def captured_at(self, index: int) -> float:
        """When a frame was there, by time.perf_counter()."""
        return self._started + index * self._step_s

    def __iter__(self) -> Iterator[Any]:
        from mien.structures import Frame

        self._started = time.perf_counter()
        last = -1
        while not self._closed.is_set():
            newest = int((time.perf_counter() - self._started) / self._step_s)
            if newest == last:
                self._closed.wait(max(self.captured_at(last + 1) - time.perf_counter(), 0))
                continue
            last = newest
            image = self._frames[newest % len(self._frames)].image
            yield Frame(image, "camera", newest, newest * self._step_s)

    def close(self) -> None:
        self._closed.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
