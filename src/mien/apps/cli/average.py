"""`mien average`: one network whose weights are the mean of several trainings'."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.training.soup import Measured, Norms, Soup


@click.command("average", cls=Command)
@argument("data", "The data that they were trained on.", type=PATH)
@click.option(
    "--run",
    "runs",
    multiple=True,
    required=True,
    type=PATH,
    metavar="RUN",
    help="Folder of a training, or its best.safetensors; twice or more.",
)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Where best.safetensors goes, for mien export.")
@click.option(
    "--norms",
    type=click.Choice(["better", "mean", "anew"]),
    default="better",
    help="Statistics of the batch norms: the mean too, measured anew, or what scores higher on the validation split.",
)
@any_size
@click.option("--overwrite", is_flag=True, help="Replace the network in DIR.")
def app(data: Path, runs: tuple[Path, ...], out: Path, norms: Norms, any_size: bool, overwrite: bool) -> None:
    """Take the mean of the weights of trainings that went on from the same ones, and measure it beside them."""
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console
    from rich.progress import Progress

    from mien.errors import ConfigError
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.data.splits import HELD_OUT, hold_out
    from mien.workshop.networks.checkpoint import load_network
    from mien.workshop.training.folder import BEST, HISTORY, LAST, hold
    from mien.workshop.training.soup import mix

    checkpoints = [run / BEST if run.is_dir() else run for run in runs]
    for name in (LAST, HISTORY):
        if (out / name).exists():
            raise ConfigError(f"{out} holds a training ({name}): give another --out")
    if (out / BEST).exists() and not overwrite:
        raise ConfigError(f"{out} holds a {BEST}: give another --out, or --overwrite")
    seeds = sorted({load_network(path)[1]["training"]["config"]["fit"]["seed"] for path in checkpoints})
    whole = load_dataset(data, check_counts=not any_size)
    dataset = hold_out(whole, HELD_OUT, seed=seeds[0])
    if dataset is not whole and len(seeds) > 1:
        raise ConfigError(
            f"{data} has no validation split, and trainings with the seeds {', '.join(map(str, seeds))} held out other "
            "rows: each would be measured on rows that another has learned. "
            "Give the data a validation split, or train with one seed"
        )
    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("measuring", total=len(checkpoints) + 1)
        soup = mix(checkpoints, dataset, norms=norms, advance=lambda: bars.advance(task))
    with hold(out):
        soup.save(out)
    console.print(soup_table(soup))
    if not soup.is_best:
        console.print("The mean has no smaller loss than each of them: they may have too little in common.")
    console.print(f"wrote {out / BEST}: go on with mien export {out}", markup=False, highlight=False, soft_wrap=True)


def soup_table(soup: Soup) -> Table:
    """What each network measures on the validation split, and their mean."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heads = [head for head in soup.header["heads"] if head in soup.measured]
    table = Table(title="On the validation split", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("weights")
    for name in ("loss", *(f"{head} %" for head in heads)):
        table.add_column(name, justify="right", no_wrap=True)

    def add(name: str, measured: Measured, style: str | None = None) -> None:
        figures = [f"{100 * measured[head]:.2f}" for head in heads]
        table.add_row(Text(name), f"{measured['loss']:.4f}", *figures, style=style)

    for name, measured in soup.members:
        add(name, measured)
    table.add_section()
    add("their mean", soup.plain, "bold" if soup.measured is soup.plain else None)
    if soup.anew is not None:
        add("the same, batch norms measured anew", soup.anew, "bold" if soup.measured is soup.anew else None)
    return table
