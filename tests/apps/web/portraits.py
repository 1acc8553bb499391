"""A portrait as a picture and as a video."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from mien.apps.web.analyze import EXAMPLES
from mien.images.pictures import read

PORTRAIT = EXAMPLES["Eileen Collins"]


def write_portrait_clip(path: Path, frames: int = 12, rate_hz: int = 10) -> Path:
    """The portrait for some frames, then as many without a face."""
    image = read(PORTRAIT)
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=rate_hz)
        stream.height, stream.width = image.shape[:2]
        stream.pix_fmt = "yuv420p"
        for number in range(2 * frames):
            shown = image if number < frames else np.full_like(image, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="rgb24")))
        container.mux(stream.encode(None))
    return path
