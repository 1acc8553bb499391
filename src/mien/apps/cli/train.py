"""`mien train`: a configuration and a data set in, a checkpoint with its history and curves out."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument

if TYPE_CHECKING:
    from rich.console import Console

    from mien.workshop.data.base import FaceDataset
    from mien.workshop.experiments.journal import Journal
    from mien.workshop.training.config import TrainingConfig


@click.command("train", cls=Command)
@argument("config", "TOML file, such as studies/mien-s.toml.", type=PATH)
@argument("data", "fer2013.csv, a folder that holds it, or an image folder.", type=PATH)
@click.option(
    "--out", type=PATH, required=True, metavar="DIR", help="Folder of the run; an unfinished run in it goes on."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Where to train.")
@click.option("--devices", type=click.IntRange(min=1), default=1, help="GPUs, or processes of a CPU, to share a batch.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the configuration's.")
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the configuration's.")
@click.option("--compile", "compiled", is_flag=True, help="Have torch compile the network: a minute, then faster.")
@click.option("--stop-after", type=click.IntRange(min=1), help="Stop after so many more epochs.")
@click.option(
    "--journal/--no-journal",
    default=None,
    show_default=False,
    help="Tell MLflow about the run; by default where MLFLOW_TRACKING_URI is set or the run was told before.",
)
@any_size
def app(
    config: Path,
    data: Path,
    out: Path,
    device: str,
    devices: int,
    epochs: int | None,
    seed: int | None,
    compiled: bool,
    stop_after: int | None,
    journal: bool | None,
    any_size: bool,
) -> None:
    """Train a network, or go on where a stopped training left off."""
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console

    from mien.workshop.data.factory import load_dataset
    from mien.workshop.data.splits import HELD_OUT, hold_out
    from mien.workshop.experiments.journal import wanted
    from mien.workshop.training.config import load_config
    from mien.workshop.training.curves import draw_curves
    from mien.workshop.training.fit import Tempo, iter_epochs, load_result

    console = Console()
    settings = load_config(config, epochs=epochs, seed=seed)
    dataset = load_dataset(data, check_counts=not any_size)
    if not len(dataset.part("validation")):
        dataset = hold_out(dataset, HELD_OUT, seed=settings.fit.seed)
        console.print("no validation split: a tenth of the training rows is held out")
    book = _open_journal(out, settings, dataset, console) if wanted(out, journal) else None
    rows = iter_epochs(
        settings, dataset, out, device=device, devices=devices, console=console, stop_after=stop_after,
        tempo=Tempo(compiled=compiled),
    )  # fmt: skip
    with book or nullcontext():
        for done, row in enumerate(rows, 1):
            if book:
                book.send()
                book.status = "KILLED" if done == stop_after and row["epoch"] + 1 < settings.fit.epochs else "FINISHED"
        result = load_result(out)
        draw_curves(result.history, out / "curves.png", title=settings.name, best_epoch=result.best_epoch)
    best = result.history[result.best_epoch]
    console.print(
        f"kept epoch {result.best_epoch + 1}, validation score {100 * best['score']:.2f} %: {result.checkpoint}"
    )
    console.print(f"history {out / 'history.json'}, curves {out / 'curves.png'}")


def _open_journal(out: Path, settings: TrainingConfig, dataset: FaceDataset, console: Console) -> Journal:
    from mien.workshop.experiments.journal import Facts, Journal

    rows = len(dataset.part("train"))
    facts = Facts(settings.name, settings.model_dump(mode="json"), dataset.name, dataset.sha256, rows)
    return Journal(out, facts, say=lambda text: console.print(text, soft_wrap=True, highlight=False, markup=False))
