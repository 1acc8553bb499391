"""`mien analyze`: read the expressions of the faces in pictures."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from mien.apps.cli.listing import Listing, PlainListing, TableListing
from mien.apps.cli.parameters import PATH, Command, argument
from mien.errors import ConfigError, SourceError
from mien.faces.factory import DETECTORS
from mien.images import MAX_PIXELS, write
from mien.inference.pipeline import Pipeline, Result
from mien.inference.sinks import create_sink
from mien.labels import USER_LABELS


@click.command("analyze", cls=Command)
@argument("sources", "Files, folders, patterns, or - for standard input.", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--model", help="A bundled model's name, the folder of an artifact, or models:/NAME@ALIAS.")
@click.option(
    "--detector",
    type=click.Choice(list(DETECTORS)),
    default="auto",
    help="How faces are found; none: pictures are face crops.",
)
@click.option("--labels", type=click.Choice(list(USER_LABELS)), default="seven", help="Eight has contempt.")
@click.option("--head", help="Which of the model's heads speaks; see `mien models show`.")
@click.option(
    "--min-confidence", type=click.FloatRange(0, 1), default=0.0, help="Abstain where the probability is below this."
)
@click.option("--out", type=PATH, metavar="FILE", help="Write one row a face to a .jsonl or .csv file.")
@click.option("--save", type=PATH, metavar="DIR", help="Write annotated pictures here.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a picture, one a line, and nothing else.")
@click.option(
    "--max-pixels",
    type=click.IntRange(min=1),
    default=MAX_PIXELS,
    help="Refuse larger pictures before decoding them.",
)
@click.option("--overwrite", is_flag=True, help="Replace files that are there already.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def app(
    sources: tuple[str, ...],
    model: str | None,
    detector: str,
    labels: str,
    head: str | None,
    min_confidence: float,
    out: Path | None,
    save: Path | None,
    as_json: bool,
    max_pixels: int,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Read the expressions of the faces in pictures.

    Ends with 3 when a picture could not be read; the others are done all the same.
    """
    pipeline = Pipeline(
        model,
        detector=detector,
        labels=labels,
        head=head,
        min_confidence=min_confidence,
        max_pixels=max_pixels,
    )
    album = Album(save, overwrite=overwrite) if save else None
    failed = total = 0
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(create_sink(out, pipeline.labels, overwrite=overwrite)) if out else None
        listing = None if quiet or as_json else _create_listing()
        for result in _told(pipeline.run(sources)):
            total += 1
            failed += result.error is not None
            if sink:
                sink.write(result)
            if album:
                album.add(result)
            if as_json:
                sys.stdout.write(json.dumps(_document(result), ensure_ascii=False) + "\n")
            if listing:
                listing.add(result)
    if listing:
        listing.close()
    if failed:
        click.echo(f"{failed} of {total} pictures could not be read", err=True)
        raise click.exceptions.Exit(SourceError.exit_code)


class Album:
    """A folder of annotated pictures, named as their sources; JPEG stays JPEG, all else becomes PNG.

    Raises:
        ConfigError: the folder cannot be made, or a picture is there already and may not be replaced.
    """

    def __init__(self, folder: Path, *, overwrite: bool) -> None:
        self.folder = folder
        self.overwrite = overwrite
        self._used: set[str] = set()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {folder}: {error.strerror or error}") from error

    def add(self, result: Result) -> None:
        """Write a picture with its faces marked; one that could not be read is passed over."""
        if result.frame is None:
            return
        from mien.inference.drawing import draw_faces

        target = self.folder / self._name(result.source)
        if target.exists() and not self.overwrite:
            raise ConfigError(f"{target} is there already: choose another folder, or add --overwrite")
        try:
            write(target, draw_faces(result.frame.image, result.faces))
        except OSError as error:
            raise ConfigError(f"cannot write {target}: {error.strerror or error}") from error

    def _name(self, source: str) -> str:
        """A name of its own in this run: pictures of several folders may be called the same."""
        path = Path("stdin" if source == "-" else source)
        suffix = path.suffix.lower() if path.suffix.lower() in (".jpg", ".jpeg") else ".png"
        name, number = f"{path.stem}{suffix}", 1
        while name in self._used:
            number += 1
            name = f"{path.stem}-{number}{suffix}"
        self._used.add(name)
        return name


def _told(results: Iterator[Result]) -> Iterator[Result]:
    """The same results; an error is told as soon as it is known."""
    for result in results:
        if result.error is not None:
            click.echo(f"error: {result.error}", err=True)
        yield result


def _document(result: Result) -> dict[str, object]:
    size = None if result.frame is None else result.frame.image.shape
    return {
        "source": result.source,
        "width": size and size[1],
        "height": size and size[0],
        "faces": [face.to_dict() for face in result.faces],
        "error": None if result.error is None else str(result.error),
        "seconds": round(result.seconds, 4),
    }


def _create_listing() -> Listing:
    return TableListing() if sys.stdout.isatty() else PlainListing()
