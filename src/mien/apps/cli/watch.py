"""`mien watch`: the desktop window."""

from __future__ import annotations

import click

from mien.apps.cli.parameters import Command, argument
from mien.labels import USER_LABELS

THEMES = ("system", "light", "dark")
DETECTORS = ("auto", "mien", "yunet", "haar")


@click.command("watch", cls=Command)
@argument("source", "A camera (0), a video or picture file, or a stream's address.", required=False)
@click.option("--model", help="A bundled model's name, or the folder of an artifact.")
@click.option("--detector", type=click.Choice(DETECTORS), help="How faces are found.", show_default=False)
@click.option("--labels", type=click.Choice(list(USER_LABELS)), help="Eight has contempt.")
@click.option("--min-confidence", type=click.FloatRange(0, 1), help="Not sure where the probability is below this.")
@click.option(
    "--balance", type=click.FloatRange(0, 1),
    help="0: expressions are as frequent as in the training data; 1: all equally.",
)  # fmt: skip
@click.option("--theme", type=click.Choice(THEMES), help="How the window looks.")
def app(
    source: str | None,
    model: str | None,
    detector: str | None,
    labels: str | None,
    min_confidence: float | None,
    balance: float | None,
    theme: str | None,
) -> None:
    """Show a camera or a video with its faces, in a window.

    Without SOURCE the window asks. What is not given is as it was last time.
    """
    from mien.apps.desktop.app import start
    from mien.apps.desktop.settings import Wishes

    code = start(Wishes(source, model, detector, labels, min_confidence, balance, theme))
    raise click.exceptions.Exit(code)
