"""The options of `mien analyze`, in groups, and what they ask for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mien.apps.cli.parameters import PATH, Argument, Command, Decorated
from mien.faces.detectors import DETECTORS
from mien.images.pictures import MAX_PIXELS
from mien.labels import USER_LABELS
from mien.sinks import FORMATS

FACES, RESULTS, MOVING = "Faces", "Results", "Videos, cameras and streams"


@dataclass(frozen=True)
class Request:
    """What the command line asks for; see the options' help."""

    sources: tuple[str, ...]
    model: str | None
    detector: str
    min_face: float | None
    labels: str
    head: str | None
    min_confidence: float
    max_pixels: int
    flip: bool
    balance: float
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
    smooth: float
    hold: float
    detect_every: int | None
    video: Path | None
    episodes: Path | None
    timeline: Path | None
    summary: bool
    profile: bool


class Option(click.Option):
    """An option that stands in a group of the help."""

    def __init__(self, *args: Any, group: str = RESULTS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.group = group


class AnalyzeCommand(Command):
    """Shows its options in groups."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the arguments, then a section a group."""
        with formatter.section("Arguments"):
            formatter.write_dl([(p.human_readable_name, p.explanation) for p in self.params if isinstance(p, Argument)])
        for group in (FACES, MOVING, RESULTS):
            options = [
                p for p in self.get_params(ctx) if getattr(p, "group", RESULTS) == group and not isinstance(p, Argument)
            ]
            with formatter.section(group):
                formatter.write_dl([record for p in options if (record := p.get_help_record(ctx)) is not None])


class Seconds(click.ParamType):  # type: ignore[type-arg]
    """A time as 90, 90.5, 1:30 or 1:02:03.5."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The time in seconds."""
        if isinstance(value, float | int):
            return float(value)
        if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", value, re.ASCII):
            self.fail(f"expected a time as 90, 1:30 or 1:02:03.5, not {value!r}", param, ctx)
        total = 0.0
        for part in value.split(":"):
            total = 60 * total + float(part)
        return total


def _option(group: str, *names: str, **attributes: Any) -> Callable[[Decorated], Decorated]:
    return click.option(*names, cls=Option, group=group, **attributes)


OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option(FACES, "--model", help="A bundled model's name, or the folder of an artifact."),
    _option(
        FACES, "--detector", type=click.Choice(list(DETECTORS)), default="auto",
        help="How faces are found; none: pictures are face crops.",
    ),
    _option(
        FACES, "--min-face", type=click.FloatRange(min=0, min_open=True), metavar="PX",
        help="Height of the smallest face wanted, in pixels of the picture; default 48.",
    ),
    _option(FACES, "--labels", type=click.Choice(list(USER_LABELS)), default="seven", help="Eight has contempt."),
    _option(FACES, "--head", help="Which of the model's heads speaks; see `mien model show`."),
    _option(
        FACES, "--min-confidence", type=click.FloatRange(0, 1), default=0.0,
        help="Abstain where the probability is below this.",
    ),
    _option(
        FACES, "--max-pixels", type=click.IntRange(min=1), default=MAX_PIXELS,
        help="Refuse larger pictures before decoding them.",
    ),
    _option(FACES, "--flip", is_flag=True, help="Read each face and its mirror image as well, twice the work."),
    _option(
        FACES, "--balance", type=click.FloatRange(0, 1), default=0.0,
        help="0: expressions are as frequent as in the training data, mostly neutral and happy; 1: all equally.",
    ),
    _option(
        MOVING, "--start", type=Seconds(), default=0.0, show_default=False,
        help="Leave out what comes before; 90 or 1:30.",
    ),
    _option(MOVING, "--end", type=Seconds(), help="Leave out what comes from there on."),
    _option(MOVING, "--every", type=click.IntRange(min=1), default=1, metavar="N", help="Take each n-th frame."),
    _option(MOVING, "--rate", type=float, metavar="HZ", help="Take at most so many frames a second."),
    _option(
        MOVING, "--no-track", "track", flag_value=False, default=True, show_default=False,
        help="Take each frame for itself: no numbers, no smoothing.",
    ),
    _option(
        MOVING, "--smooth", type=Seconds(), default=0.3, metavar="SECONDS",
        help="Time constant of the averaging of probabilities; 0: none.",
    ),
    _option(
        MOVING, "--hold", type=Seconds(), default=0.15, metavar="SECONDS",
        help="How long another expression must lead before it is shown.",
    ),
    _option(
        MOVING, "--detect-every", type=click.IntRange(min=1), metavar="N",
        help="Look for faces in each n-th frame only, follow them between.",
    ),
    _option(MOVING, "--video", type=PATH, metavar="FILE", help="Write the annotated video, an .mp4 with its sound."),
    _option(
        MOVING, "--episodes", type=PATH, metavar="FILE",
        help="Write who showed what from when to when: .csv, or .eaf for ELAN.",
    ),
    _option(MOVING, "--timeline", type=PATH, metavar="FILE", help="Draw the expressions over time, a .png."),
    _option(
        MOVING, "--summary", is_flag=True,
        help="Print time, mean, peak and changes of each expression; with --json as JSON, instead of the frames.",
    ),
    _option(MOVING, "--profile", is_flag=True, help="Print where the time went, by stage."),
    _option(
        RESULTS, "--out", type=PATH, metavar="FILE",
        help="Write one row a face, and one for a frame without, to a .csv, .jsonl or .parquet file.",
    ),
    _option(
        RESULTS, "--format", "format_name", type=click.Choice(list(FORMATS)),
        help="Of --out, if not by the file's ending; openface and pyfeat have those tools' columns.",
    ),
    _option(RESULTS, "--save", type=PATH, metavar="DIR", help="Write annotated pictures and videos here."),
    _option(
        RESULTS, "--json", "as_json", is_flag=True,
        help="Print a JSON object a picture or frame, one a line, and nothing else.",
    ),
    _option(RESULTS, "--resume", is_flag=True, help="Go on with --out where an earlier run stopped."),
    _option(RESULTS, "--overwrite", is_flag=True, help="Replace files that are there already."),
    _option(RESULTS, "-q", "--quiet", is_flag=True, help="Print errors only."),
)  # fmt: skip


def options(function: Decorated) -> Decorated:
    """Give a command all of them."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function
