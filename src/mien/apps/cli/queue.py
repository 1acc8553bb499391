"""`mien queue`: experiments for a machine with an accelerator, packed here, run there in pieces, taken home."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from mien.training.queue.states import Standing

_RUNS = click.option(
    "--runs", type=PATH, default=Path("runs"), metavar="RUNS", help="Folder of all runs, in the working folder."
)


@click.group("queue")
def app() -> None:
    """Train a study on a machine with an accelerator: pack it, run it there in pieces, take home what came out."""


@app.command("status", cls=Command)
@argument("file", "The queue, such as studies/queue.toml.", type=PATH)
@_RUNS
def status(file: Path, runs: Path) -> None:
    """Show where each run of FILE stands."""
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from mien.training.queue.states import standings
    from mien.training.study.plan import load_study

    _print_standings(standings(load_study(file), runs, base=Path()))


@app.command("pack", cls=Command)
@argument("file", "The queue, such as studies/queue.toml.", type=PATH)
@argument("data", "fer2013.csv, a folder that holds it, or an image folder.", type=PATH)
@_RUNS
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The folder to write.")
@click.option("--limit-mb", type=click.FloatRange(min=0), default=60.0, help="Megabytes that it may take.")
@click.option("--without-states", is_flag=True, help="Leave the states of unfinished runs behind; they begin anew.")
@click.option("--overwrite", is_flag=True, help="Replace an older pack.")
@any_size
def pack(
    file: Path,
    data: Path,
    runs: Path,
    out: Path,
    limit_mb: float,
    without_states: bool,
    overwrite: bool,
    any_size: bool,
) -> None:
    """Write the folder that a machine needs to train FILE.

    In it are the code, the data without the test rows, and the runs that go on.
    """
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console

    from mien.datasets.factory import load_dataset
    from mien.datasets.splits import HELD_OUT, hold_out
    from mien.training.queue.pack import write_pack
    from mien.training.study.plan import load_study

    study = load_study(file)
    dataset = hold_out(load_dataset(data, check_counts=not any_size), HELD_OUT, seed=study.seeds[0])
    packed = write_pack(
        file, dataset, runs, out, limit_mb=limit_mb, states=not without_states, overwrite=overwrite
    )  # fmt: skip
    console = Console()
    for name, size in packed.sizes.items():
        console.print(f"{size / 1e6:8.2f} MB  {name}", highlight=False, markup=False)
    console.print(f"{packed.total / 1e6:8.2f} MB  in all, of {limit_mb:g}", highlight=False)
    console.print(f"there: python {packed.folder.name}/run.py --minutes 9 --out OUT", highlight=False, soft_wrap=True)


@app.command("run", cls=Command)
@argument("folder", "A packed queue.", type=PATH)
@click.option("--minutes", type=click.FloatRange(min=0), default=9.0, help="Of the wall clock, all included.")
@click.option("--work", type=PATH, metavar="DIR", help="Where the runs are kept between sessions; FOLDER by default.")
@click.option("--out", type=PATH, metavar="DIR", help="Where the parcel goes; out in --work by default.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Where to train.")
@click.option("--at-once", type=click.IntRange(min=1), default=1, help="Runs at the same time, a process each.")
@click.option("--only", multiple=True, metavar="ENTRY", help="Run this entry alone; may be given several times.")
@click.option("--again", is_flag=True, help="Try failed runs once more.")
@click.option("--compile", "compiled", is_flag=True, help="Let torch.compile make the networks' kernels.")
def run(
    folder: Path,
    minutes: float,
    work: Path | None,
    out: Path | None,
    device: str,
    at_once: int,
    only: tuple[str, ...],
    again: bool,
    compiled: bool,
) -> None:
    """Train the head of a packed queue for so many minutes.

    It is what the folder's own run.py does; the next call goes on.
    """
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from mien.training.fit import Tempo
    from mien.training.queue.main import Session, run_pack
    from mien.training.queue.session import Manner

    manner = Manner(device, Tempo(save_every_s=60, compiled=compiled), only, again=again)
    run_pack(Session(folder, minutes, work, out, manner, at_once))


@app.command("take", cls=Command)
@argument("parcels", "Parts of a parcel, or the folder that holds them.", type=PATH, nargs=-1, required=True)
@_RUNS
@click.option("--queue", "file", type=PATH, metavar="FILE", help="The queue, to show where its runs stand then.")
def take(parcels: tuple[Path, ...], runs: Path, file: Path | None) -> None:
    """Put what came out into RUNS.

    There it is exported and reported as any other training.
    """
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console

    from mien.training.queue.states import standings
    from mien.training.queue.take import take_parcel
    from mien.training.study.plan import load_study

    console = Console()
    taken, left = take_parcel(list(parcels), runs)
    for name in taken:
        console.print(f"took {runs / name}", highlight=False, markup=False, soft_wrap=True)
    for name in left:
        console.print(f"left {name}: the run in {runs} is further on", highlight=False, markup=False, soft_wrap=True)
    if file is not None:
        _print_standings(standings(load_study(file), runs, base=Path()))


def _print_standings(found: list[Standing]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("entry", no_wrap=True)
    table.add_column("seed", justify="right")
    table.add_column("state", no_wrap=True)
    table.add_column("epochs", justify="right")
    table.add_column("validation %", justify="right")
    table.add_column("minutes", justify="right")
    table.add_column("note", overflow="fold")
    for standing in found:
        entry, epochs = standing.run.entry, standing.run.config.fit.epochs
        score = "" if standing.score is None else f"{100 * standing.score:.2f}"
        minutes = f"{entry.minutes:g}" if entry.minutes else ""
        note = standing.note or (entry.note if standing.state != "done" else "")
        table.add_row(
            entry.name, str(standing.run.seed), standing.state, f"{standing.epochs}/{epochs}", score, minutes, note
        )
    Console().print(table)
