"""What the command line of `mien analyze` asks for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mien.reading.thresholds import Threshold


@dataclass(frozen=True)
class Request:
    """What the command line asks for; see the options' help in `analyze_options`."""

    sources: tuple[str, ...]
    model: str | None
    detector: str
    min_face: float | None
    labels: str
    head: str | None
    min_confidence: float
    min_quality: float
    max_pixels: int
    rotate: str
    flip: bool
    balance: float | None
    geometry: bool
    draw: tuple[str, ...]
    out: Path | None
    format_name: str | None
    save: Path | None
    as_json: bool
    resume: bool
    overwrite: bool
    quiet: bool
    start: float
    end: float | None
    every: int
    rate: float | None
    track: bool
    smooth: float | None
    hold: float | None
    temporal: str | None
    detect_every: int | None
    search_every: float
    video: Path | None
    episodes: Path | None
    beyond: tuple[Threshold, ...]
    timeline: Path | None
    circumplex: Path | None
    summary: bool
    profile: bool
