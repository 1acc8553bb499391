"""Where the results of one `mien analyze` go: a table, annotated files, the terminal, and the count of errors."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from mien.apps.cli.album import Album
from mien.apps.cli.analyze_request import Request
from mien.apps.cli.listing import Listing, PlainListing, TableListing
from mien.errors import MienError
from mien.reading.results import Result
from mien.sinks import create_sink
from mien.sinks.tables import TableSink

if TYPE_CHECKING:
    from mien.reading.pipeline import Pipeline
    from mien.sinks.intervals import Interval
    from mien.sinks.resume import Written


class Outputs:
    """What the sources of one command share, `moving` of them videos, cameras or streams; `stack` closes the table.

    Raises:
        ConfigError: a file or folder cannot or may not be written.
    """

    def __init__(self, request: Request, pipeline: Pipeline, stack: contextlib.ExitStack, *, moving: int) -> None:
        self.request = request
        self.album = Album(request.save, overwrite=request.overwrite, draw=request.draw) if request.save else None
        self.written = _prepare_resume(request, pipeline, moving=moving > 0) if request.resume else None
        self.sink: TableSink | None = None
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
        saved = self._saved()
        if saved and not self.request.quiet:
            click.echo(f"Saved: {', '.join(saved)}", err=True)
        if self.failed:
            click.echo(f"{self.failed} of {self.total} {self._noun} could not be read", err=True)

    def _saved(self) -> list[str]:
        """The files that there are now, with what they hold."""
        request, found = self.request, []
        if self.sink:
            rows = f"{self.sink.count:,} row{'' if self.sink.count == 1 else 's'}"
            found.append(f"{request.out} ({rows}{' more' if request.resume else ''})")
        # A video without a frame has no file.
        found += [str(path) for path in (request.video, request.episodes, request.timeline) if path and path.exists()]
        return found + ([self.album.describe()] if self.album and self.album.used else [])


def notice(text: str) -> None:
    """Print what is odd about a source that was read all the same."""
    click.echo(text, err=True)


def _prepare_resume(request: Request, pipeline: Pipeline, *, moving: bool) -> Written:
    from mien.sinks.resume import Writer, prepare_resume

    assert request.out is not None
    model = pipeline.moving_title if moving else pipeline.model.title
    writer = Writer(
        pipeline.labels, moving and request.track, model, pipeline.detector.name,
        geometry=pipeline.geometry is not None, still=pipeline.model.title,
    )  # fmt: skip
    return prepare_resume(request.out, request.format_name, writer)
