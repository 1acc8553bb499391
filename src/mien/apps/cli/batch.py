"""`mien batch`: read millions of pictures and thousands of videos into Parquet partitions, and go on after any end."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli.analyze_options import only
from mien.apps.cli.parameters import GroupedCommand, Option, Seconds, argument
from mien.errors import SourceError

if TYPE_CHECKING:
    from mien.apps.batch.run import Batch, Progress

READER = ("labels", "head", "min_confidence", "min_quality", "max_pixels", "flip", "balance", "geometry")
STREAM = {"smooth": "smooth_s", "hold": "hold_s", "detect_every": "detect_every", "search_every": "search_every"}
WORKERS, OUTPUT = "Workers", "Output"
LINE_EVERY_S = 10.0


@click.command("batch", cls=GroupedCommand)
@argument(
    "sources",
    "Files, folders, patterns; tables of paths (.txt, .csv, .parquet); s3://, gs://, az:// and https:// addresses.",
    metavar="SOURCE...",
    nargs=-1,
    required=True,
)
@click.option(
    "--out", required=True, metavar="DIR", cls=Option, group=OUTPUT,
    help="The folder, or address in a bucket, that gets pictures/, videos/ and errors/ in Parquet.",
)  # fmt: skip
@click.option("--resume", is_flag=True, cls=Option, group=OUTPUT, help="Read what is missing in --out.")
@click.option("--overwrite", is_flag=True, cls=Option, group=OUTPUT, help="Replace the batch in --out.")
@click.option("-q", "--quiet", is_flag=True, cls=Option, group=OUTPUT, help="Print errors only.")
@click.option(
    "--workers", type=click.IntRange(min=1), cls=Option, group=WORKERS, help="How many; one a core without it."
)
@click.option("--cores", type=click.FloatRange(0.1), default=1.0, cls=Option, group=WORKERS, help="Cores of a worker.")
@click.option("--gpus", type=click.FloatRange(0), default=0.0, cls=Option, group=WORKERS, help="GPUs of a worker.")
@click.option("--address", cls=Option, group=WORKERS, help="A running Ray cluster: HOST:PORT, or auto.")
@click.option(
    "--pictures", type=click.IntRange(min=1), metavar="N", cls=Option, group=WORKERS,
    help="Pictures in a partition; 250 without it.",
)  # fmt: skip
@click.option(
    "--part", type=Seconds(), metavar="TIME", cls=Option, group=WORKERS,
    help="With --no-track: cut longer videos into parts that workers share.",
)  # fmt: skip
@only("model", "detector", "min_face", "rotate", *READER, "every", "rate", "track", *STREAM)
def app(**values: Any) -> None:
    """Analyze millions of files, on many machines.

    The rows are those of `mien analyze`. Exits with code 3 if any input could not be read; errors/ has a row for each.
    """
    from mien.apps.batch.run import Batch, Workers
    from mien.apps.batch.unit_reader import BatchOptions

    # Without a value a part of the program decides, and what decides is not part of the batch's options.
    given = {name: value for name, value in values.items() if value is not None}
    rotate = values["rotate"]
    sampling = {new: given[name] for name, new in (("every", "every"), ("rate", "rate_hz")) if name in given}
    options = BatchOptions(
        {name: given[name] for name in READER if name in given}
        | {"detector": values["detector"], "rotate": rotate if rotate == "auto" else int(rotate)},
        values["model"], values["min_face"], track=values["track"],
        stream={new: given[name] for name, new in STREAM.items() if name in given},
        sampling={} if sampling == {"every": 1} else sampling,
    )  # fmt: skip
    batch = Batch(
        values["sources"], values["out"], options, resume=values["resume"], overwrite=values["overwrite"],
        pictures_a_unit=values["pictures"], part_s=values["part"], on_notice=lambda text: click.echo(text, err=True),
    )  # fmt: skip
    show = _Shown(quiet=values["quiet"])
    try:
        with show:
            for progress in batch.run(Workers(values["workers"], values["cores"], values["gpus"], values["address"])):
                show.update(progress)
    except KeyboardInterrupt:
        click.echo(f"stopped; what is read stays in {values['out']}, --resume goes on", err=True)
        raise
    if _print_end(batch, values["out"], quiet=values["quiet"]):
        raise click.exceptions.Exit(SourceError.exit_code)


class _Shown:
    """A bar on a terminal, elsewhere a line every ten seconds; nothing with `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet, self._told, self._bar = quiet, time.monotonic(), None
        if not quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._bar = Progress(
                BarColumn(), TextColumn("{task.description}"), console=Console(stderr=True), transient=True
            )
            self._task = self._bar.add_task("starting the workers", total=None)

    def update(self, progress: Progress) -> None:
        if self._bar is not None:
            self._bar.update(
                self._task, total=progress.inputs, completed=progress.inputs_done, description=_line(progress)
            )
        elif not self._quiet and time.monotonic() - self._told >= LINE_EVERY_S:
            self._told = time.monotonic()
            click.echo(_line(progress), err=True)

    def __enter__(self) -> None:
        if self._bar is not None:
            self._bar.start()

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _line(progress: Progress) -> str:
    from mien.reading.timeline import clock

    left = "" if progress.left_s is None else f", {progress.rate_hz:,.0f}/s, {clock(progress.left_s)} left"
    errors = f", {progress.errors:,} unreadable" if progress.errors else ""
    return f"{progress.inputs_done:,} of {progress.inputs:,} files{left}{errors}"


def _print_end(batch: Batch, out: str, *, quiet: bool) -> int:
    """Say what the output holds; how many inputs could not be read."""
    summary, progress = batch.summary(), batch.progress
    errors = int(summary["errors"])
    for error in summary["first_errors"]:
        click.echo(f"error: {error}", err=True)
    if errors > len(summary["first_errors"]):
        click.echo(f"… and {errors - len(summary['first_errors']):,} more, see errors/", err=True)
    if not quiet:
        what = f"{progress.inputs:,} files, {errors:,} unreadable"
        if progress.resumed == progress.inputs:
            click.echo(f"{what}; all were read before, nothing was left to do")
        else:
            before = f"; {progress.resumed:,} were read before" if progress.resumed else ""
            rate = f", {progress.mean_hz:,.0f} files/s" if progress.mean_hz >= 1 else ""
            click.echo(f"{what}{before}; {progress.seconds:.0f} s{rate}")
        where = out if "://" in out else str(Path(out))
        for folder, rows in (*summary["rows"].items(), ("errors", errors)):
            if rows:
                click.echo(f"Saved: {where}/{folder} ({rows:,} row{'s' if rows > 1 else ''})")
    return errors
