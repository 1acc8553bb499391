"""The options of `mien analyze`, in groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from mien.apps.cli.parameters import PATH, Decorated, Option, Seconds
from mien.faces.detectors import DETECTORS
from mien.images.pictures import MAX_PIXELS
from mien.labels import USER_LABELS
from mien.reading.shape_drawing import parse_drawings
from mien.reading.smoothing import HOLD_S, SMOOTH_S
from mien.reading.thresholds import parse_threshold
from mien.sinks import FORMATS

FACES, RESULTS, MOVING = "Faces", "Results", "Videos, cameras and streams"


def _option(group: str, *names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    return click.option(*names, cls=Option, group=group, **attributes)


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option(FACES, "--model", help="Name of a bundled model, or an artifact's folder."),
    _option(
        FACES, "--detector", type=click.Choice(list(DETECTORS)), default="auto",
        help="How to find faces; none: each image is one face crop.",
    ),
    _option(FACES, "--min-face", type=float, metavar="PX", help="Height of the smallest face wanted; 48 by default."),
    _option(FACES, "--labels", type=click.Choice(list(USER_LABELS)), default="seven", help="Eight includes contempt."),
    _option(FACES, "--head", help="Output head to use; see `mien model show`."),
    _option(
        FACES, "--min-confidence", type=click.FloatRange(0, 1), default=0.0,
        help="Report faces with a lower confidence as not sure.",
    ),
    _option(
        FACES, "--min-quality", type=click.FloatRange(0, 1), default=0.0,
        help="Report faces that can be seen less well than this as not sure; 0.5 leaves those called good.",
    ),
    _option(
        FACES, "--max-pixels", type=click.IntRange(min=1), default=MAX_PIXELS,
        help="Refuse larger images before decoding them.",
    ),
    _option(
        FACES, "--rotate", type=click.Choice(["auto", "0", "90", "180", "270"]), default="auto", metavar="DEGREES",
        help="Turn images and frames clockwise first: 90, 180 or 270. auto looks for faces in turned ones too where "
        "none is sure; 0 does not.",
    ),
    _option(FACES, "--flip", is_flag=True, help="Average each face with its mirror image; takes twice as long."),
    _option(
        FACES, "--balance", type=click.FloatRange(0, 1), show_default=False,
        help="0: the share of annotators who would choose each word; 1: as if all expressions were equally frequent; "
        "without it, the model's own rule.",
    ),
    _option(FACES, "--geometry", is_flag=True, help="Add 68 landmarks, head pose and blendshapes of each face."),
    _option(MOVING, "--start", type=Seconds(), default=0.0, show_default=False, help="Start at this time: 90 or 1:30."),
    _option(MOVING, "--end", type=Seconds(), help="Stop at this time."),
    _option(MOVING, "--every", type=click.IntRange(min=1), default=1, metavar="N", help="Analyze every Nth frame."),
    _option(MOVING, "--rate", type=float, metavar="HZ", help="Analyze at most this many frames per second."),
    _option(
        MOVING, "--no-track", "track", flag_value=False, default=True, show_default=False,
        help="Treat each frame on its own: no track IDs, no smoothing.",
    ),
    _option(
        MOVING, "--smooth", type=Seconds(), metavar="SECONDS",
        help=f"Time constant for averaging probabilities, {SMOOTH_S:g} by default; 0: no averaging.",
    ),
    _option(
        MOVING, "--hold", type=Seconds(), metavar="SECONDS",
        help=f"How long another expression must lead before it is shown, {HOLD_S:g} by default.",
    ),
    _option(
        MOVING, "--temporal", metavar="DIR",
        help="Read each face over time with this temporal model, in place of averaging and holding.",
    ),
    _option(
        MOVING, "--detect-every", type=click.IntRange(min=1), metavar="N",
        help="Detect faces in every Nth frame only, and track them in between.",
    ),
    _option(
        MOVING, "--search-every", type=Seconds(), default=0.25, metavar="SECONDS",
        help="Search the whole frame so often, and look for known faces nearby in between; 0: always.",
    ),
    _option(MOVING, "--video", type=PATH, metavar="FILE", help="Write an annotated .mp4 with the original sound."),
    _option(
        MOVING, "--episodes", type=PATH, metavar="FILE",
        help="Write each face's expression intervals: .csv, .eaf for ELAN, .TextGrid for Praat.",
    ),
    _option(
        MOVING, "--beyond", type=parse_threshold, multiple=True, metavar="CONDITION",
        help="Add to --episodes when a face was beyond a value: 'valence<-0.3', 'intensity>0.8'; repeatable.",
    ),
    _option(MOVING, "--timeline", type=PATH, metavar="FILE", help="Draw the expressions over time as a .png."),
    _option(MOVING, "--circumplex", type=PATH, metavar="FILE", help="Draw valence and arousal of each face as a .png."),
    _option(
        MOVING, "--summary", is_flag=True,
        help="Print the duration, mean, peak and changes of each expression; with --json, as JSON instead of frames.",
    ),
    _option(MOVING, "--profile", is_flag=True, help="Print the time spent in each stage."),
    _option(
        RESULTS, "--out", type=PATH, metavar="FILE",
        help="Write a row for each face, and for each frame without one: .csv, .jsonl or .parquet.",
    ),
    _option(
        RESULTS, "--format", "format_name", type=click.Choice(list(FORMATS)),
        help="Format of --out, if not given by its ending; openface and pyfeat use those tools' columns.",
    ),
    _option(RESULTS, "--save", type=PATH, metavar="DIR", help="Write annotated images and videos to this folder."),
    _option(RESULTS, "--draw", type=parse_drawings, default="", metavar="NAMES", help="Draw landmarks, pose, values."),
    _option(
        RESULTS, "--json", "as_json", is_flag=True,
        help="Print one JSON object per image or frame, one a line, and nothing else.",
    ),
    _option(RESULTS, "--resume", is_flag=True, help="Resume an interrupted --out file."),
    _option(RESULTS, "--overwrite", is_flag=True, help="Replace existing files."),
    _option(RESULTS, "-q", "--quiet", is_flag=True, help="Print errors only."),
)  # fmt: skip


def options(function: Decorated) -> Decorated:
    """Add all options to a command."""
    # Backwards, as stacked decorators apply: click turns the order around again.
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def only(*names: str) -> Callable[[Decorated], Decorated]:
    """Those of the options that have these names: what other commands read sources by."""

    def decorate(function: Decorated) -> Decorated:
        def bare() -> None: ...

        chosen = [option for option in options(bare).__click_params__ if option.name in names]  # type: ignore[attr-defined]
        # As click's own decorators do: the last one comes first.
        function.__dict__.setdefault("__click_params__", []).extend(chosen)
        return function

    return decorate
