"""`mien model arch`, `average`, `distill`: architectures, the mean of several trainings, and teacher predictions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mien.apps.cli.bars import stages
from mien.apps.cli.parameters import DATA_HELP, PATH, Command, argument, need_train_extra, overwrite
from mien.apps.cli.printing import create_table, print_line, print_table

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.training.soup import Measured, Norms, Soup


@click.command("arch", cls=Command)
@argument("names", "Architectures; timm:NAME for one of timm's. Without any, Mien's and some of timm's.",
          nargs=-1, required=False)  # fmt: skip
@click.option("--size", type=click.IntRange(16, 512), default=48, help="Side of the face in pixels.")
@click.option("--no-time", is_flag=True, help="Measure no time.")
def arch(names: tuple[str, ...], size: int, no_time: bool) -> None:
    """List architectures and what each costs for one grey face.

    Parameters, multiply-accumulates (MACs) and milliseconds are those of the default options with all heads; the time
    is torch's on one CPU thread, the median of 20.
    """
    need_train_extra()
    from mien.artifact.input import InputSpec
    from mien.workshop.networks.architectures import ARCHITECTURES, TIMM_ARCHITECTURES, create_network
    from mien.workshop.networks.network import count_macs, count_parameters, measure_ms

    table = create_table("", "architecture", "parameters", "MACs", *([] if no_time else ["ms a face"]))
    spec = InputSpec(size, size)
    for name in names or (*ARCHITECTURES, *TIMM_ARCHITECTURES):
        network = create_network(name, spec=spec)
        cells = [f"{count_parameters(network):,}", f"{count_macs(network, spec) / 1e6:,.2f} M"]
        if not no_time:
            cells.append(f"{measure_ms(network, spec):.2f}")
        table.add_row(name, *cells)
    print_table(table)


@click.command("average", cls=Command)
@argument("data", "The data they were trained on.", type=PATH)
@click.option(
    "--run", "runs", multiple=True, required=True, type=PATH, metavar="RUN",
    help="Folder of a training run, or its best.safetensors; twice or more.",
)  # fmt: skip
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for best.safetensors.")
@click.option(
    "--norms", type=click.Choice(["better", "mean", "recomputed"]), default="better",
    help="Batch-norm statistics: averaged too, recomputed on training faces, or whichever scores higher.",
)  # fmt: skip
@overwrite("Replace the network in DIR.")
def average(data: Path, runs: tuple[Path, ...], out: Path, norms: Norms, overwrite: bool) -> None:
    """Average the weights of training runs that started from the same ones, and measure the mean beside them.

    `mien model export` takes the result.
    """
    need_train_extra()
    from mien.workshop import average_runs
    from mien.workshop.training.run_folder import BEST

    with stages() as on_stage:
        soup = average_runs(runs, data, out, norms=norms, overwrite=overwrite, on_progress=on_stage("measuring"))
    print_table(_soup_table(soup))
    if not soup.is_best:
        print_line("The mean has no smaller loss than each of them: they may have too little in common.")
    print_line(f"wrote {out / BEST}; next: mien model export {out}")


@click.command("distill", cls=Command)
@argument("data", DATA_HELP, type=PATH)
@click.option(
    "--teacher", "teachers", multiple=True, required=True, metavar="MODEL",
    help="A bundled model's name, an artifact's folder, or models:/NAME@ALIAS; repeat to average several.",
)  # fmt: skip
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The .npz file to write.")
@click.option("--views", type=click.IntRange(min=1), default=8, help="Views of each face: plain, mirrored, augmented.")
@click.option("--seed", type=click.IntRange(min=0), default=0, help="Seed of the augmentation.")
def distill(data: Path, teachers: tuple[str, ...], out: Path, views: int, seed: int) -> None:
    """Save teacher predictions for distillation.

    Teachers predict the training rows of DATA; students name the file in [distill] teachers.
    """
    need_train_extra()
    from mien.workshop import save_teacher_predictions

    with stages() as on_stage:
        predictions = save_teacher_predictions(
            teachers, data, out, views=views, seed=seed, on_progress=on_stage("batches")
        )
    who = f"{len(teachers)} teacher{'' if len(teachers) == 1 else 's'}"
    size_mb = out.stat().st_size / 1e6
    print_line(f"wrote {out}: {size_mb:.1f} MB, predictions of {who} for {len(predictions.digests):,} pictures")


def _soup_table(soup: Soup) -> Table:
    """What each network measures on the validation split, and their mean."""
    from rich.text import Text

    heads = [head for head in soup.header["heads"] if head in soup.measured]
    table = create_table("On the validation split", "weights", "loss", *(f"{head} %" for head in heads))

    def add(name: str, measured: Measured, style: str | None = None) -> None:
        figures = [f"{100 * measured[head]:.2f}" for head in heads]
        table.add_row(Text(name), f"{measured['loss']:.4f}", *figures, style=style)

    for name, measured in soup.members:
        add(name, measured)
    table.add_section()
    add("their mean", soup.plain, "bold" if soup.measured is soup.plain else None)
    if soup.recomputed is not None:
        add("the same, batch norms recomputed", soup.recomputed, "bold" if soup.measured is soup.recomputed else None)
    return table
