"""`mien models`: list, show, fetch, compare, calibrate, quantise and promote models, and list the architectures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli import calibrate, compare, quantize, versions
from mien.apps.cli.parameters import Command, argument
from mien.artifact import mlflow_store as tracking
from mien.artifact import store
from mien.artifact.artifact import GRAPH_FILE, MANIFEST_FILE, Manifest, load_artifact, load_manifest
from mien.artifact.catalog import BUNDLED, DEFAULT_MODEL, list_bundled, resolve
from mien.artifact.input import InputSpec
from mien.errors import ArtifactError, MienError

if TYPE_CHECKING:
    from rich.table import Table

    from mien.artifact.versions import Version


@click.group("models")
def app() -> None:
    """List, show, fetch, compare, calibrate, quantise and promote models; list architectures."""


for command in (
    compare.app,
    calibrate.app,
    quantize.app,
    versions.register_version,
    versions.promote_version,
    versions.roll_back_champion,
):
    app.add_command(command)


@app.command("list")
def list_models() -> None:
    """List models, and what can be fetched.

    Each is named as --model takes it. The accuracy is that of the head that users get, on the test faces, as its export
    measured it.
    """
    from rich.console import Console

    table = compare.create_table("", "model")
    for title in ("version", "size", "accuracy %", "what it is"):
        table.add_column(
            title, justify="right" if title in ("size", "accuracy %") else "left", no_wrap=title != "what it is"
        )
    for name in list_bundled():
        _add_artifact(table, name, BUNDLED / name, "bundled, default" if name == DEFAULT_MODEL else "bundled")
    for graph in sorted(Path().glob(f"*/{GRAPH_FILE}")):
        if (graph.parent / MANIFEST_FILE).is_file():
            _add_artifact(table, f"./{graph.parent.name}", graph.parent, "in this folder")
    registered, trouble = _registered()
    for version in registered:
        _add_version(table, version)
    for file in store.FILES.values():
        there = "face detector" if store.find(file) else f"not here: mien models pull {file.name}"
        table.add_row(file.name, "", _size(file.size_bytes), "", there)
    console = Console()
    console.print(table)
    if trouble:
        raise trouble
    if registered:
        console.print(f"registered in {tracking.shown_uri()}", soft_wrap=True, highlight=False, markup=False)


@app.command("show", cls=Command)
@argument(
    "name",
    "A bundled model's name, the folder of an artifact, or models:/NAME@ALIAS; none: the default.",
    required=False,
)
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


@app.command("arch", cls=Command)
@argument(
    "names",
    "Architectures, timm:NAME for one of timm; none: all of Mien's and some of timm's.",
    nargs=-1,
    required=False,
)
@click.option("--size", type=click.IntRange(16, 512), default=48, help="Side of the face in pixels.")
@click.option("--no-time", is_flag=True, help="Measure no time.")
def list_architectures(names: tuple[str, ...], size: int, no_time: bool) -> None:
    """List architectures to train, and what each costs.

    Parameters, multiply-accumulates (MACs) and milliseconds are those of the default options with all heads, for one
    grey face; the time is torch's on one CPU thread, the median of 20.
    """
    from mien.apps.cli.extras import need_train_extra

    need_train_extra()
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from mien.workshop.networks.cost import count_macs, measure_ms
    from mien.workshop.networks.factory import ARCHITECTURES, TIMM_ARCHITECTURES, create_network
    from mien.workshop.networks.network import count_parameters

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("architecture", no_wrap=True)
    for title in ("parameters", "MACs", *([] if no_time else ["ms a face"])):
        table.add_column(title, justify="right", no_wrap=True)
    spec = InputSpec(size, size)
    for name in names or (*ARCHITECTURES, *TIMM_ARCHITECTURES):
        network = create_network(name, spec=spec)
        cells = [f"{count_parameters(network):,}", f"{count_macs(network, spec) / 1e6:,.2f} M"]
        if not no_time:
            cells.append(f"{measure_ms(network, spec):.2f}")
        table.add_row(name, *cells)
    Console().print(table)


def _add_artifact(table: Table, name: str, folder: Path, kind: str) -> None:
    try:
        manifest = load_manifest(folder)
        size = _size((folder / GRAPH_FILE).stat().st_size)
    except ArtifactError as error:
        table.add_row(name, "", "", "", f"damaged: {error}")
        return
    accuracy = _accuracy(manifest.scores, manifest.default_head)
    table.add_row(name, manifest.version, size, accuracy, kind)


def _registered() -> tuple[list[Version], MienError | None]:
    """All registered versions, and why they cannot be told, which hinders nothing else."""
    if not tracking.is_there():
        return [], None
    from mien.artifact.versions import list_versions

    try:
        return [version for versions in list_versions().values() for version in versions], None
    except MienError as error:
        return [], error


def _add_version(table: Table, version: Version) -> None:
    summary = version.summary
    table.add_row(
        version.reference,
        str(summary.get("version", "")),
        _size(int(summary.get("size_bytes", 0))),
        _accuracy(version.scores, str(summary.get("default_head", ""))),
        ", ".join(version.aliases) or "registered",
    )


def _accuracy(scores: Sequence[Mapping[str, Any]], head: str) -> str:
    """The head's accuracy on test faces with hard labels, in per cent; empty where there is none."""
    for score in scores:
        test = str(score.get("set", "")) in ("PrivateTest", "test")
        if test and score.get("head") == head and score.get("labels") != "FER+ votes" and "accuracy" in score:
            return f"{head} {100 * score['accuracy']:.1f}"
    return ""


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
        lines.append(f"head        {name}{default}: {', '.join(head.labels)}")
        lines.append(f"calibrated  {name}: {_calibrated(manifest, name)}")
    if "quantised" in manifest.data:
        lines += quantize.described(manifest.data["quantised"])
    lines += [f"score       {_scored(score)}" for score in manifest.scores]
    if manifest.notes:
        lines.append(f"notes       {manifest.notes}")
    return lines


def _calibrated(manifest: Manifest, head: str) -> str:
    """How a head is calibrated, and on which faces as far as the manifest tells."""
    told = str(manifest.heads[head].calibration)
    fitted = manifest.data.get("calibrated")
    found = fitted["heads"].get(head) if isinstance(fitted, dict) and isinstance(fitted.get("heads"), dict) else None
    if not isinstance(found, dict) or not {"rows", "against"} <= found.keys():
        return told
    return f"{told}; on {found['rows']:,} held-out faces, against {found['against']}"


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
