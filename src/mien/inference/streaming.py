"""From a source of frames to results over time: decode, detect, track, classify, smooth, each in its place."""

from __future__ import annotations

from dataclasses import dataclass, field

from mien.inference.sources.stream import Sampling


@dataclass(frozen=True)
class StreamOptions:
    """How a source of frames is read; see `Pipeline.stream`.

    Args:
        sampling: which frames are taken.
        track: give a face a number that it keeps, and smooth its probabilities along the way.
        smooth_s: time constant of the smoothing in seconds, whatever the frame rate; 0 for none.
        hold_s: how long another label must lead before it is shown, seconds; 0 for at once.
        detect_every: look for faces in each n-th frame taken and follow them between; None for each frame of a file,
            and as often as load allows on a live source.
    """

    sampling: Sampling = field(default_factory=Sampling)
    track: bool = True
    smooth_s: float = 0.3
    hold_s: float = 0.15
    detect_every: int | None = None
