"""`mien model list`, `show`, `pull`: the models that are here, and files to fetch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mien.apps.cli.fitting import hanging
from mien.apps.cli.parameters import MODEL_HELP, Command, argument
from mien.apps.cli.printing import create_table
from mien.artifact import mlflow_store as tracking
from mien.artifact import store
from mien.artifact.artifact import GRAPH_FILE, MANIFEST_FILE, load_artifact, load_manifest
from mien.artifact.catalog import BUNDLED, DEFAULT_MODEL, list_bundled, resolve
from mien.artifact.description import describe_manifest
from mien.errors import ArtifactError, MienError

if TYPE_CHECKING:
    from rich.table import Table

    from mien.artifact.versions import Version


@click.command("list")
def list_models() -> None:
    """List models, and files to fetch.

    Names are as --model takes them. The accuracy is the default head's on test faces, as measured at export.
    """
    from rich.console import Console

    table = create_table("", "model")
    for title in ("version", "size", "accuracy %", "what it is"):
        table.add_column(
            title, justify="right" if title in ("size", "accuracy %") else "left", no_wrap=title != "what it is"
        )
    for name in list_bundled():
        _add_artifact(table, name, BUNDLED / name, "bundled, default" if name == DEFAULT_MODEL else "bundled")
    # Of this folder alone: a search of the disk would be slow and surprising.
    for graph in sorted(Path().glob(f"*/{GRAPH_FILE}")):
        if (graph.parent / MANIFEST_FILE).is_file():
            _add_artifact(table, f"./{graph.parent.name}", graph.parent, "in this folder")
    registered, trouble = _registered()
    for version in registered:
        _add_version(table, version)
    for file in store.FILES.values():
        there = "face detector" if store.find(file) else f"not here: mien model pull {file.name}"
        table.add_row(file.name, "", _size(file.size_bytes), "", there)
    console = Console()
    console.print(table)
    # After the table: what is on this disk is shown even if a server does not answer.
    if trouble:
        raise trouble
    if registered:
        console.print(f"registered in {tracking.shown_uri()}", soft_wrap=True, highlight=False, markup=False)


@click.command("show", cls=Command)
@argument(
    "name",
    f"{MODEL_HELP} Without it, the default model.",
    required=False,
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole manifest.")
def show(name: str | None, as_json: bool) -> None:
    """Show a model's heads, input and scores, and verify the sha256 of its graph."""
    artifact = load_artifact(resolve(name))
    if as_json:
        click.echo(artifact.manifest.to_json(), nl=False)
        return
    for line in describe_manifest(artifact.manifest, artifact.folder, len(artifact.graph)):
        # What it begins with is a name and its blanks; the first line is all text.
        found = re.match(r"\w+ {2,}", line)
        click.echo(hanging(found[0], line[found.end() :], found.end()) if found else hanging("", line, 0))


@click.command("pull", cls=Command)
@argument("name", f"File to fetch: {', '.join(store.FILES)}.", metavar="NAME", type=click.Choice(list(store.FILES)))
def pull(name: str) -> None:
    """Fetch a file into Mien's own folder, and verify its sha256."""
    click.echo(f"{name} is at {store.pull(store.FILES[name])}")


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
    """All registered versions, and the error if they cannot be listed: the other models still are."""
    # Asking MLflow would make an empty database.
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
        # Against votes, faces that people disagree on count too: that is another figure.
        if test and score.get("head") == head and score.get("labels") != "FER+ votes" and "accuracy" in score:
            return f"{head} {100 * score['accuracy']:.1f}"
    return ""


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e3:.0f} kB"
