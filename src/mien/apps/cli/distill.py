"""`mien distill`: what teachers say of the training rows, for their students to learn from."""

from __future__ import annotations

from pathlib import Path

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument


@click.command("distill", cls=Command)
@argument("data", "fer2013.csv, a folder that holds it, or an image folder.", type=PATH)
@click.option(
    "--teacher",
    "teachers",
    multiple=True,
    required=True,
    metavar="MODEL",
    help="A bundled name, an artifact's folder or models:/NAME@ALIAS; again for several, whose mean is taken.",
)
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The .npz to write.")
@click.option("--views", type=click.IntRange(min=1), default=8, help="Of each face: itself, mirrored, augmented.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Of the augmentation.")
@any_size
def app(data: Path, teachers: tuple[str, ...], out: Path, views: int, seed: int, any_size: bool) -> None:
    """Ask teachers about the training rows of DATA; students name the file in [distill] teachers."""
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console
    from rich.progress import Progress

    from mien.reading.classifier import load_model
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.training.distill import ask_teachers
    from mien.workshop.training.opinions import write_opinions

    models = [load_model(name) for name in teachers]
    dataset = load_dataset(data, check_counts=not any_size)
    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("asking the teachers")
        opinions = ask_teachers(
            models, dataset, views=views, seed=seed,
            advance=lambda done, total: bars.update(task, completed=done, total=total),
        )  # fmt: skip
    out.parent.mkdir(parents=True, exist_ok=True)
    write_opinions(out, opinions)
    console.print(
        f"wrote {out}: {out.stat().st_size / 1e6:.1f} MB, what {len(models)} "
        f"{'teacher says' if len(models) == 1 else 'teachers say'} of {len(opinions.digests):,} pictures",
        highlight=False,
    )
