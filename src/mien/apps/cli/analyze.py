"""`mien analyze`: read the expressions of the faces in pictures, videos, cameras and streams."""

from __future__ import annotations

import contextlib
import glob
import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli.album import Album
from mien.apps.cli.analyze_options import AnalyzeCommand, Request, options
from mien.apps.cli.listing import Listing, PlainListing, TableListing, document
from mien.apps.cli.parameters import argument
from mien.errors import ConfigError, SourceError
from mien.reading.pipeline import Pipeline
from mien.sinks import create_sink
from mien.sinks.base import Sink
from mien.sinks.factory import find_format
from mien.sinks.resume import Written
from mien.structures import Result

if TYPE_CHECKING:
    from mien.reading.episodes import Episode

INTERRUPTED = 130


@click.command("analyze", cls=AnalyzeCommand)
@argument(
    "sources",
    "Pictures, folders, patterns, - for standard input; videos; a camera's number; rtsp:// and http:// streams.",
    metavar="SOURCE...",
    nargs=-1,
    required=True,
)
@options
def app(**values: Any) -> None:
    """Read the expressions of the faces in pictures, videos, cameras and streams.

    Ends with 3 when a source could not be read; the others are done all the same.
    """
    request = Request(**values)
    request = replace(request, sources=tuple(_iter_names(request.sources)))
    moving = [_is_moving(source) for source in request.sources]
    _check(request, sum(moving))
    pipeline = Pipeline(
        request.model,
        detector=request.detector,
        labels=request.labels,
        head=request.head,
        min_confidence=request.min_confidence,
        max_pixels=request.max_pixels,
        flip=request.flip,
        balance=request.balance,
    )
    with contextlib.ExitStack() as stack:
        run = Run(request, pipeline, stack, moving=sum(moving))
        for kind, group in itertools.groupby(zip(request.sources, moving, strict=True), key=lambda entry: entry[1]):
            names = [name for name, _ in group]
            if kind:
                run.read_moving(names)
            else:
                run.read_pictures(names)
    run.close()


class Run:
    """What the sources of one command share: where results go, and what could not be read."""

    def __init__(self, request: Request, pipeline: Pipeline, stack: contextlib.ExitStack, *, moving: int) -> None:
        self.request, self.pipeline = request, pipeline
        self.album = Album(request.save, overwrite=request.overwrite) if request.save else None
        self.written = self._prepare(moving=moving > 0) if request.resume else Written()
        self.sink: Sink | None = None
        if request.out:
            self.sink = create_sink(
                request.out, pipeline.labels, format_name=request.format_name, overwrite=request.overwrite,
                moving=moving > 0 and request.track, append=request.resume,
            )  # fmt: skip
            stack.enter_context(self.sink)
        silent = request.quiet or request.as_json or (request.summary and moving == len(request.sources))
        self.listing = None if silent else _create_listing(moving=moving > 0)
        self.failed = self.total = 0
        self.moving = moving > 0
        self.interrupted = False
        self.episodes: dict[str, Sequence[Episode]] = {}

    def _prepare(self, *, moving: bool) -> Written:
        from mien.sinks.resume import Writer, prepare_resume

        assert self.request.out is not None
        model, labels = self.pipeline.model, self.pipeline.labels
        writer = Writer(labels, moving and self.request.track, model.title, self.pipeline.detector.name)
        return prepare_resume(self.request.out, self.request.format_name, writer)

    def read_pictures(self, names: list[str]) -> None:
        """Read pictures; of those that a resumed table holds, none again."""
        if self.interrupted:
            return
        if self.request.resume:
            from mien.sources.pictures import STDIN, iter_items

            found = [STDIN if name == STDIN else item.name for name in names for item in iter_items(name)]
            names = [name for name in found if name not in self.written.done]
        for result in self._told(self.pipeline.run(names)):
            if self.sink:
                self.sink.write(result)
            if self.album:
                self.album.add(result)
            if self.request.as_json and not self.request.summary:
                sys.stdout.write(json.dumps(document(result), ensure_ascii=False) + "\n")
            if self.listing:
                self.listing.add(result)

    def read_moving(self, names: list[str]) -> None:
        """Read videos, cameras and streams one after another."""
        from mien.apps.cli.analyze_moving import MovingRun

        for name in names:
            if self.interrupted:
                return
            self.total += 1
            try:
                self.interrupted = MovingRun(self, name).read()
            except SourceError as error:
                self.failed += 1
                click.echo(f"error: {error}", err=True)

    def _told(self, results: Iterator[Result]) -> Iterator[Result]:
        """The same results; an error is told as soon as it is known."""
        for result in results:
            self.total += 1
            if result.error is not None:
                self.failed += 1
                click.echo(f"error: {result.error}", err=True)
            yield result

    def close(self) -> None:
        """Show what is left to show; ends with another exit code than 0 when not all went well."""
        if self.listing:
            self.listing.close()
        if self.failed:
            noun = "sources" if self.moving else "pictures"
            click.echo(f"{self.failed} of {self.total} {noun} could not be read", err=True)
        if self.interrupted:
            raise click.exceptions.Exit(INTERRUPTED)
        if self.failed:
            raise click.exceptions.Exit(SourceError.exit_code)


def _iter_names(sources: Sequence[str]) -> Iterator[str]:
    """The sources; in place of a pattern that videos match, the files that match."""
    for source in sources:
        found: list[str] = []
        if glob.has_magic(source) and not Path(source).exists():
            found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
        if any(_is_moving(name) for name in found):
            yield from found
        else:
            yield source


def _is_moving(source: str) -> bool:
    from mien.sources.factory import is_moving

    return is_moving(source)


def _check(request: Request, moving: int) -> None:
    """Refuse what cannot be done before anything is read or written."""
    if request.resume and (request.out is None or request.overwrite):
        raise ConfigError("--resume goes on with the table of --out, and does not go with --overwrite")
    if request.out:
        find_format(request.out, request.format_name)
        _check_target(request, request.out, resumable=True)
    if not (request.video or request.episodes or request.timeline):
        return
    from mien.apps.cli.analyze_moving import check_moving

    check_moving(request, moving)
    for path in (request.video, request.episodes, request.timeline):
        if path:
            _check_target(request, path)


def _check_target(request: Request, path: Any, *, resumable: bool = False) -> None:
    if path.exists() and not (request.overwrite or (resumable and request.resume)):
        raise ConfigError(f"{path} is there already: choose another name, or allow it with --overwrite")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"cannot write {path}: there is no folder {path.parent}")


def _create_listing(*, moving: bool) -> Listing:
    return TableListing() if sys.stdout.isatty() else PlainListing(moving=moving)
