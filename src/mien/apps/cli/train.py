"""`mien train`: a configuration and a data set in, a checkpoint with its history and curves out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="TOML file, such as studies/mien-s.toml.")],
    data: Annotated[Path, typer.Argument(help="fer2013.csv, a folder that holds it, or an image folder.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; an unfinished run in it goes on.")],
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    epochs: Annotated[int | None, typer.Option(help="Instead of the configuration's.", min=1)] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the configuration's.")] = None,
    stop_after: Annotated[int | None, typer.Option(help="Stop after so many more epochs.", min=1)] = None,
    any_size: Annotated[bool, typer.Option(help="Take a FER2013 with other than the known counts.")] = False,
) -> None:
    """Train a network, or go on where a stopped training left off."""
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console

    from mien.datasets.factory import load_dataset
    from mien.datasets.splits import hold_out
    from mien.training.config import load_config
    from mien.training.curves import draw_curves
    from mien.training.fit import fit

    console = Console()
    settings = load_config(config)
    changes = {key: value for key, value in (("epochs", epochs), ("seed", seed)) if value is not None}
    settings = settings.model_copy(update={"fit": settings.fit.model_copy(update=changes)})
    dataset = load_dataset(data, check_counts=not any_size)
    if not len(dataset.part("validation")):
        dataset = hold_out(dataset, share=0.1, seed=settings.fit.seed)
        console.print("no validation split: a tenth of the training rows is held out")
    result = fit(settings, dataset, out, device=device, console=console, stop_after=stop_after)
    draw_curves(result.history, out / "curves.png", title=settings.name, best_epoch=result.best_epoch)
    best = result.history[result.best_epoch]
    console.print(
        f"kept epoch {result.best_epoch + 1}, validation score {100 * best['score']:.2f} %: {result.checkpoint}"
    )
    console.print(f"history {out / 'history.json'}, curves {out / 'curves.png'}")
