"""`mien models quantize`: a smaller or quicker form of a model, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument


@click.command("quantize", cls=Command)
@argument("name", "A bundled model's name, the folder of a float32 artifact, or models:/NAME@ALIAS.")
@argument("data", "FER2013 with FER+ as a folder, csv or npz: calibrates the model and scores it.", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Where the artifact goes.")
@click.option(
    "--precision",
    type=click.Choice(["int8", "float16", "float32"]),
    default="int8",
    help="float16: stored so, computed in float32; float32: only rearranged.",
)
@click.option(
    "--calibration",
    type=click.Choice(["percentile", "minmax", "entropy", "best"]),
    default="percentile",
    help="How int8 finds the layers' ranges; best tries all, and takes the one most often right on validation faces.",
)
@click.option("--faces", type=click.IntRange(32), default=512, help="That int8 finds the ranges with.")
@click.option("--split", type=click.Choice(["train", "validation"]), default="train", help="Of those faces.")
@click.option("--float-gates", is_flag=True, help="Keep squeeze-and-excitation in float32 under int8.")
@click.option("--bits", type=click.Choice(["7", "8"]), default="7", help="Of int8 weights; 8 only for VNNI or ARM.")
@any_size
@click.option("--overwrite", is_flag=True, help="Replace an artifact.")
def app(
    name: str,
    data: Path,
    out: Path,
    precision: str,
    calibration: str,
    faces: int,
    split: str,
    float_gates: bool,
    bits: str,
    any_size: bool,
    overwrite: bool,
) -> None:
    """Write a model's graph in int8 or float16, calibrated anew.

    The heads are calibrated on the validation faces, and the best of several forms is chosen on them alone. The test
    faces only tell what was lost.
    """
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.console import Console

    from mien.apps.cli.evaluate import evaluate_model
    from mien.apps.cli.export import score_entry
    from mien.artifact.artifact import load_artifact, require_free, write_artifact
    from mien.artifact.catalog import resolve
    from mien.reading.classifier import Model
    from mien.workshop.data.factory import load_dataset
    from mien.workshop.export.artifact import with_scores
    from mien.workshop.export.compact import Compaction, compact_artifact

    require_free(out, overwrite=overwrite)
    wishes = Compaction(precision, calibration, faces, split, gates=not float_gates, bits=int(bits))
    before = load_artifact(resolve(name))
    dataset = load_dataset(data, check_counts=not any_size)
    after = compact_artifact(before, dataset, wishes)
    scores: list[list[Mapping[str, Any]]] = [
        [score_entry(found) for found in evaluate_model(Model(artifact), dataset).sets] for artifact in (before, after)
    ]
    written = with_scores(after, scores[1])
    write_artifact(out, written.graph, written.manifest, overwrite=overwrite)
    console = Console()
    console.print(_cost_table(*scores))
    for line in described(after.manifest.data["quantised"]):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    sizes = " → ".join(f"{len(graph) / 1e6:.1f} MB" for graph in (before.graph, after.graph))
    console.print(f"wrote {out}: {after.manifest.version}, {sizes}", highlight=False, markup=False, soft_wrap=True)


def described(entry: Mapping[str, Any]) -> list[str]:
    """What a manifest says of how its graph was quantised, in lines."""
    how = [
        str(entry["precision"]),
        *(f"{key} {entry[key]}" for key in ("weights", "values", "float32") if key in entry),
    ]
    lines = [f"quantised   {', '.join(how)}"]
    if "calibrated_on" in entry:
        faces = entry["calibrated_on"]
        lines.append(f"ranges      {entry['method']} of {faces['rows']} faces of {faces['split']}, {faces['name']}")
    lines.append(
        f"agreement   {100 * entry['agreement']:.2f} % of {entry['rows']:,} faces, "
        f"probabilities within {entry['largest_difference']:g}"
    )
    return lines


def _cost_table(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> Any:
    from mien.apps.cli.compare import create_table

    table = create_table("accuracy, %", "head")
    for title in ("set", "labels", "rows", "before", "after", "cost"):
        table.add_column(title, justify="left" if title in ("set", "labels") else "right", no_wrap=True)
    for old, new in zip(before, after, strict=True):
        figures = [100 * score["accuracy"] for score in (old, new)]
        table.add_row(
            new["head"], new["set"], new["labels"], f"{new['rows']:,}",
            *(f"{figure:.2f}" for figure in figures), f"{figures[0] - figures[1]:+.2f}",
        )  # fmt: skip
    return table
