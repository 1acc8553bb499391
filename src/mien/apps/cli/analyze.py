"""`mien analyze`: estimate the expressions of faces in images, videos, cameras and streams."""

from __future__ import annotations

import contextlib
import glob
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from mien.apps.cli.analyze_options import options
from mien.apps.cli.analyze_request import Request
from mien.apps.cli.outputs import Outputs, notice
from mien.apps.cli.parameters import GroupedCommand, argument
from mien.errors import ConfigError, SourceError
from mien.faces.detectors import create_detector
from mien.reading.pipeline import Pipeline
from mien.reading.shape_drawing import VALUES
from mien.sinks.formats import find_format
from mien.sinks.tables import several_sources
from mien.sources.opening import is_moving
from mien.sources.photos import STDIN, iter_items

INTERRUPTED = 130


@click.command("analyze", cls=GroupedCommand)
@argument(
    "sources",
    "Images, folders, patterns, - for standard input; videos; a camera's number; rtsp:// and http:// streams.",
    metavar="SOURCE...",
    nargs=-1,
    required=True,
)
@options
def app(**values: Any) -> None:
    """Estimate the expressions of faces in images, videos, cameras and streams.

    Exits with code 3 if any source fails; the rest are still processed.
    """
    request = Request(**values)
    request = replace(request, sources=tuple(_iter_names(request.sources)))
    moving = [is_moving(source) for source in request.sources]
    _check(request, sum(moving))
    pipeline = Pipeline(
        request.model, detector=create_detector(request.detector, min_face_px=request.min_face),
        labels=request.labels, head=request.head,
        min_confidence=request.min_confidence, min_quality=request.min_quality,
        max_pixels=request.max_pixels, flip=request.flip, balance=request.balance,
        geometry=request.geometry or bool({*request.draw} - {VALUES}),
        rotate=request.rotate if request.rotate == "auto" else int(request.rotate), temporal=request.temporal,
    )  # fmt: skip
    interrupted = False
    with contextlib.ExitStack() as stack:
        outputs = Outputs(request, pipeline, stack, moving=sum(moving))
        # Runs of images go to the pipeline together, which batches them; the order of the sources stays.
        for moves, group in itertools.groupby(zip(request.sources, moving, strict=True), key=lambda entry: entry[1]):
            names = [name for name, _ in group]
            if moves:
                interrupted = _read_all_moving(names, pipeline, outputs)
            else:
                _read_images(names, pipeline, outputs)
            if interrupted:
                break
    outputs.close()
    if interrupted or outputs.failed:
        raise click.exceptions.Exit(INTERRUPTED if interrupted else SourceError.exit_code)


def _read_images(names: list[str], pipeline: Pipeline, outputs: Outputs) -> None:
    """Analyze images; those that a resumed table holds are skipped."""
    if outputs.written is not None:
        # Folders and patterns are expanded here, because the table holds single files.
        found = [STDIN if name == STDIN else item.name for name in names for item in iter_items(name)]
        names = [name for name in found if name not in outputs.written.done]
    for result in pipeline.run(names, on_notice=notice):
        outputs.add_image(result)


def _read_all_moving(names: list[str], pipeline: Pipeline, outputs: Outputs) -> bool:
    """Analyze videos, cameras and streams one after another; whether the user interrupted a live one."""
    # Here, because images need none of what reads videos, and a command should start quickly.
    from mien.apps.cli.analyze_moving import read_moving

    for name in names:
        outputs.total += 1
        try:
            if read_moving(name, pipeline, outputs):
                return True
        except SourceError as error:
            outputs.fail(error)
    return False


def _iter_names(sources: Sequence[str]) -> Iterator[str]:
    """The sources; in place of a pattern that videos match, the files that match."""
    for source in sources:
        found: list[str] = []
        # A name may hold brackets itself.
        if glob.has_magic(source) and not Path(source).exists():
            # Path.glob takes no absolute pattern.
            found = sorted(glob.glob(source, recursive=True))  # noqa: PTH207
        # Patterns of images stay whole: the reader of photos expands them itself.
        if any(is_moving(name) for name in found):
            yield from found
        else:
            yield source


def _check(request: Request, moving: int) -> None:
    """Refuse what cannot be done before anything is read or written."""
    if request.resume and (request.out is None or request.overwrite):
        raise ConfigError("--resume continues the table of --out, and cannot be combined with --overwrite")
    if request.out:
        if find_format(request.out, request.format_name).one_source and _are_several(request.sources):
            raise several_sources(request.out)
        _check_target(request, request.out, resumable=True)
    if not (request.video or request.episodes or request.timeline):
        return
    from mien.apps.cli.analyze_checks import check_moving

    check_moving(request, moving)
    for path in (request.video, request.episodes, request.timeline):
        if path:
            _check_target(request, path)


def _are_several(sources: Sequence[str]) -> bool:
    if len(sources) != 1 or is_moving(sources[0]) or sources[0] == STDIN:
        return len(sources) > 1
    return len(list(itertools.islice(iter_items(sources[0]), 2))) > 1


def _check_target(request: Request, path: Path, *, resumable: bool = False) -> None:
    if path.exists() and not (request.overwrite or (resumable and request.resume)):
        raise ConfigError(f"{path} already exists: choose another name, or add --overwrite")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"cannot write {path}: there is no folder {path.parent}")
