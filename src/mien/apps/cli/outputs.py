"""Where the results of one `mien analyze` go: a table, annotated files, the terminal, and the count of errors."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.analyze_request import Request
from mien.apps.cli.listing import Listing, PlainListing, TableListing
from mien.errors import ConfigError, MienError
from mien.images.pictures import write
from mien.reading.results import Result
from mien.sinks import create_sink
from mien.sinks.base import Sink
from mien.sinks.resume import Written

if TYPE_CHECKING:
    from mien.reading.pipeline import Pipeline
    from mien.sinks.intervals import Interval


class Outputs:
    """What the sources of one command share, `moving` of them videos, cameras or streams; `stack` closes the table.

    Raises:
        ConfigError: a file or folder cannot or may not be written.
    """

    def __init__(self, request: Request, pipeline: Pipeline, stack: contextlib.ExitStack, *, moving: int) -> None:
        self.request = request
        self.album = Album(request.save, overwrite=request.overwrite, draw=request.draw) if request.save else None
        self.written = _prepare_resume(request, pipeline, moving=moving > 0) if request.resume else Written()
        self.sink: Sink | None = None
        if request.out:
            self.sink = create_sink(
                request.out, pipeline.labels, format_name=request.format_name, overwrite=request.overwrite,
                moving=moving > 0 and request.track, geometry=pipeline.geometry is not None, append=request.resume,
            )  # fmt: skip
            stack.enter_context(self.sink)
        # A summary of videos alone replaces the list; images among them still need one.
        silent = request.quiet or request.as_json or (request.summary and moving == len(request.sources))
        self.listing: Listing | None = None
        if not silent:
            # A table has to wait for the end; a pipe gets lines as they come.
            self.listing = TableListing() if sys.stdout.isatty() else PlainListing(moving=moving > 0)
        self.failed = self.total = 0
        self.episodes: dict[str, Sequence[Interval]] = {}
        self._noun = "sources" if moving else "images"

    def add_image(self, result: Result) -> None:
        """Write an image's result everywhere; its error is printed as soon as it is known."""
        self.total += 1
        if result.error is not None:
            self.fail(result.error)
        if self.sink:
            self.sink.write(result)
        if self.album:
            self.album.add(result)
        self.print_json(result)
        if self.listing:
            self.listing.add(result)

    def print_json(self, result: Result) -> None:
        """Print a result as a line of JSON if that was asked for; a frame of a video with its number and time."""
        if self.request.as_json and not self.request.summary:
            sys.stdout.write(json.dumps(result.to_dict(), ensure_ascii=False) + "\n")

    def fail(self, error: MienError) -> None:
        """Count and print the error of a source."""
        self.failed += 1
        click.echo(f"error: {error}", err=True)

    def close(self) -> None:
        """Show what is not shown yet, and how many sources failed."""
        if self.listing:
            self.listing.close()
        if self.failed:
            click.echo(f"{self.failed} of {self.total} {self._noun} could not be read", err=True)


def notice(text: str) -> None:
    """Print what is odd about a source that was read all the same."""
    click.echo(text, err=True)


def _prepare_resume(request: Request, pipeline: Pipeline, *, moving: bool) -> Written:
    from mien.sinks.resume import Writer, prepare_resume

    assert request.out is not None
    model, detector, geometry = pipeline.model.title, pipeline.detector.name, pipeline.geometry is not None
    writer = Writer(pipeline.labels, moving and request.track, model, detector, geometry=geometry)
    return prepare_resume(request.out, request.format_name, writer)


class Album:
    """A folder of annotated images, named after their sources; JPEG stays JPEG, all else becomes PNG, videos MP4.

    Raises:
        ConfigError: the folder cannot be created, or a file exists and may not be replaced.
    """

    def __init__(self, folder: Path, *, overwrite: bool, draw: Sequence[str] = ()) -> None:
        self.folder = folder
        self.draw = draw
        self.overwrite = overwrite
        self._used: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot create the folder {folder}: {error.strerror or error}") from error

    def add(self, result: Result) -> None:
        """Write an image with its faces annotated; one that could not be read is skipped."""
        if result.frame is None:
            return
        suffix = Path(result.source).suffix.lower()
        target = self._place(result.source, suffix if suffix in (".jpg", ".jpeg") else ".png")
        try:
            write(target, result.plot(geometry=self.draw))
        except OSError as error:
            raise ConfigError(f"cannot write {target}: {error.strerror or error}") from error

    def video_path(self, source: str) -> Path:
        """Where the annotated video of a source goes."""
        return self._place(source, ".mp4")

    def _place(self, source: str, suffix: str) -> Path:
        """A name of its own in this run: sources of several folders may have the same name."""
        stem = "stdin" if source == "-" else Path(source).stem
        # A stream's address holds signs that some systems allow in no file name.
        stem = re.sub(r"[^\w .()-]+", "-", stem) if "://" in source or ":" in stem else stem
        name, number = f"{stem}{suffix}", 1
        while name in self._used:
            number += 1
            name = f"{stem}-{number}{suffix}"
        self._used.add(name)
        target = self.folder / name
        if target.exists() and not self.overwrite:
            raise ConfigError(f"{target} already exists: choose another folder, or add --overwrite")
        return target
