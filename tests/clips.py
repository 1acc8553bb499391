"""Small clips with chosen time stamps and sound."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

VARIABLE_S = [0.0, 0.04, 0.08, 0.2, 0.21, 0.5, 0.54, 1.0]


def write_clip(
    path: Path, times_s: Sequence[float] = VARIABLE_S, *, sound: str | None = None, size: tuple[int, int] = (64, 96),
    sound_from_s: float = 0.0,
) -> Path:  # fmt: skip
    """Grey frames at these times, a tone of a second by the codec of this name."""
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.height, video.width = size
        video.pix_fmt = "yuv420p"
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        tone = container.add_stream(sound, rate=16000) if sound else None
        for number, time_s in enumerate(times_s):
            image = np.full((*size, 3), 20 + 8 * number % 200, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = round(1000 * time_s), Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if tone is not None:
            seconds = np.arange(16000) / 16000
            wave = (8000 * np.sin(2 * np.pi * 440 * seconds)).astype(np.int16)
            sample = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            sample.sample_rate, sample.pts, sample.time_base = 16000, 0, Fraction(1, 16000)
            for part in av.AudioResampler(tone.format.name, "mono", 16000).resample(sample):
                part.pts = round(16000 * sound_from_s)
                container.mux(tone.encode(part))
            container.mux(tone.encode(None))
    return path


def video_times_s(path: Path) -> list[float]:
    with av.open(path) as container:
        return [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]


def sound_of(path: Path) -> tuple[str, float] | None:
    """Codec and seconds of the sound."""
    with av.open(path) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        samples = sum(frame.samples for frame in container.decode(stream))
        return re.sub("float|_.*", "", stream.codec_context.name), samples / stream.codec_context.sample_rate


def sound_start_s(path: Path) -> float:
    """When the first sample is played."""
    with av.open(path) as container:
        first = next(frame for frame in container.decode(audio=0))
        return float(first.pts * first.time_base)
