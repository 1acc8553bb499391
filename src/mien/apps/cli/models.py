"""`mien models`: list, show, fetch and compare models, and list the architectures that can be trained."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument
from mien.preprocessing import InputSpec
from mien.registry import store
from mien.registry.artifact import GRAPH_FILE, Manifest, load_artifact, load_manifest
from mien.registry.catalog import BUNDLED, DEFAULT_MODEL, list_bundled, resolve

if TYPE_CHECKING:
    from rich.table import Table

    from mien.evaluation.compare import Comparison


@click.group("models")
def app() -> None:
    """List, show, fetch and compare models; list architectures."""


@app.command("list")
def list_models() -> None:
    """List the models that come with Mien and the files it can fetch."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for title in ("name", "kind", "version", "size", "licence", "where"):
        table.add_column(title, overflow="fold", no_wrap=title != "where")
    for name in list_bundled():
        manifest = load_manifest(BUNDLED / name)
        shown = f"{name} (default)" if name == DEFAULT_MODEL else name
        size = _size((BUNDLED / name / GRAPH_FILE).stat().st_size)
        table.add_row(shown, "expressions", manifest.version, size, manifest.licence, "in the package")
    for file in store.FILES.values():
        there = store.find(file)
        where = str(there) if there else f"not here: mien models pull {file.name}"
        table.add_row(file.name, "face detector", "", _size(file.size_bytes), file.licence, where)
    Console().print(table)


@app.command("show", cls=Command)
@argument("name", "A bundled model's name, or the folder of an artifact; none: the default.", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the whole manifest.")
def show(name: str | None, as_json: bool) -> None:
    """Show what a model is: its heads, its input, its scores. The graph's sha256 is verified."""
    artifact = load_artifact(resolve(name))
    if as_json:
        click.echo(artifact.manifest.to_json(), nl=False)
        return
    click.echo("\n".join(_described(artifact.manifest, artifact.folder, len(artifact.graph))))


@app.command("pull", cls=Command)
@argument("name", f"What to fetch: {', '.join(store.FILES)}.", metavar="NAME", type=click.Choice(list(store.FILES)))
def pull(name: str) -> None:
    """Fetch a file, verified by its sha256, into Mien's own folder."""
    click.echo(f"{name} is at {store.pull(store.FILES[name])}")


@app.command("compare", cls=Command)
@argument("first", "A bundled model's name, or the folder of an artifact.")
@argument("second", "Another.")
@argument("data", "FER2013's csv or npz, a folder with it, or a folder of pictures.", type=PATH)
@any_size
def compare_models(first: str, second: str, data: Path, any_size: bool) -> None:
    """Compare two models on the same faces of DATA.

    Is the better one better, or is it chance?
    """
    from rich.console import Console

    from mien.apps.cli.evaluate import evaluate_model
    from mien.datasets.factory import load_dataset
    from mien.evaluation.compare import compare
    from mien.inference.classifier import load_model

    models = [load_model(name) for name in (first, second)]
    dataset = load_dataset(data, check_counts=not any_size)
    names = [f"{model.name} {model.version}" for model in models]
    found = compare(*(evaluate_model(model, dataset) for model in models))
    Console().print(_comparison_table(names, found))


@app.command("arch")
@click.option("--no-time", is_flag=True, help="Measure no time.")
def list_architectures(no_time: bool) -> None:
    """List the architectures that can be trained, and what each costs.

    Parameters, multiply-accumulates (MACs) and milliseconds are those of the default options with all heads, for one
    48×48 grey face; the time is torch's on one CPU thread, the median of 20.
    """
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from mien.models.cost import count_macs, measure_ms
    from mien.models.factory import ARCHITECTURES, create_network
    from mien.models.network import count_parameters

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("architecture", no_wrap=True)
    for title in ("parameters", "MACs", *([] if no_time else ["ms a face"])):
        table.add_column(title, justify="right", no_wrap=True)
    spec = InputSpec()
    for name in ARCHITECTURES:
        network = create_network(name, spec=spec)
        cells = [f"{count_parameters(network):,}", f"{count_macs(network, spec) / 1e6:,.1f} M"]
        if not no_time:
            cells.append(f"{measure_ms(network, spec):.2f}")
        table.add_row(name, *cells)
    Console().print(table)


def _comparison_table(names: list[str], found: list[Comparison]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, title=f"{names[1]} against {names[0]}", title_justify="left")
    table.add_column("faces", overflow="fold")
    for title in ("rows", "first %", "second %", "difference", "p"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in found:
        low, high = (100 * end for end in row.difference)
        table.add_row(
            f"{row.faces.head}: {row.faces.title}, {row.faces.labels_from}",
            f"{len(row.faces.rows):,}",
            f"{100 * row.first:.2f}\nalone {row.only_first:,}",
            f"{100 * row.second:.2f}\nalone {row.only_second:,}",
            f"{100 * (row.second - row.first):+.2f}\n{low:+.1f} to {high:+.1f}",
            f"{row.p_value:.3f}" if row.p_value >= 0.001 else "< 0.001",
        )
    return table


def _described(manifest: Manifest, folder: Path, size_bytes: int) -> list[str]:
    spec = manifest.input
    colours = "grey" if spec.channels == 1 else "RGB"
    lines = [
        f"{manifest.name} {manifest.version}, {manifest.created}, {manifest.licence}",
        f"folder      {folder}",
        f"graph       {_size(size_bytes)}, {manifest.parameters:,} parameters",
        f"sha256      {manifest.sha256}, verified",
        f"input       {spec.width} × {spec.height} {colours}, crop {spec.crop_scale:g} × the box's height",
    ]
    for name, head in manifest.heads.items():
        default = " (default)" if name == manifest.default_head else ""
        lines.append(f"head        {name}{default}: {', '.join(head.labels)}; temperature {head.temperature:.3f}")
    lines += [f"score       {_scored(score)}" for score in manifest.scores]
    if manifest.notes:
        lines.append(f"notes       {manifest.notes}")
    return lines


def _scored(score: Mapping[str, Any]) -> str:
    """A figure with what it was measured on; what is not as `mien export` writes it is shown as it is."""
    if not {"head", "set", "labels", "rows", "accuracy", "macro_f1"} <= score.keys():
        return json.dumps(dict(score))
    return (
        f"{score['head']:8} {100 * score['accuracy']:5.1f} %  macro F1 {score['macro_f1']:.3f}  "
        f"{score['rows']:6,} rows  {score['set']}, {score['labels']}"
    )


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
