"""What the class names or numbers of a data set mean, as commands take it; and what was recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mien.apps.cli.printing import print_line

if TYPE_CHECKING:
    from mien.workshop.data.base import FaceDataset


def _parse_classes(context: click.Context, parameter: click.Parameter, text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    from mien.workshop.data.layouts.codings import parse_classes

    return parse_classes(text)


classes = click.option(
    "--classes", callback=_parse_classes, metavar="NAME=LABEL,…",
    help="What the data's class names or numbers mean, such as 0=neutral,1=happy; none leaves a class out.",
)  # fmt: skip


def print_origin(dataset: FaceDataset) -> None:
    """What the data set was recognised as, how labels were read, and what was left out."""
    for line in dataset.origin.lines if dataset.origin else ():
        print_line(line)
