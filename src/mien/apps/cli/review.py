"""`mien review`: a page in the browser on which people decide about a data set's issues."""

from __future__ import annotations

from pathlib import Path

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument


@click.command("review", cls=Command)
@argument("issues", "Table of issues that mien curate wrote.", type=PATH)
@click.option("--data", type=PATH, metavar="PATH", help="The data set, if it is not where it was curated.")
@click.option("--reviewer", default="", metavar="NAME", help="Who decides; can be given on the page as well.")
@click.option("--kind", default="", help="Begin with the issues of this kind.")
@click.option("--port", type=click.IntRange(1, 65535), show_default=False, help="Of 127.0.0.1; a free one by default.")
@click.option("--no-browser", is_flag=True, help="Open no browser.")
@any_size
def app(
    issues: Path, data: Path | None, reviewer: str, kind: str, port: int | None, no_browser: bool, any_size: bool
) -> None:
    """Look at suspects one by one and decide by key stroke: K keep, D drop, 1–7 another label, U unsure, Z undo.

    The page is served to this computer alone. Each decision is written at once to ISSUES.decisions.sqlite beside the
    table; mien curate apply makes a list of them.
    """
    from mien.apps.streamlit_server import need_streamlit

    need_streamlit()
    from mien.apps.review.desk import Bench
    from mien.apps.review.server import free_port, start
    from mien.errors import ConfigError, DataError
    from mien.workshop.curation.apply import require_dataset
    from mien.workshop.curation.decisions import Decisions, decisions_path, reviewer_name
    from mien.workshop.curation.issues import KINDS
    from mien.workshop.curation.table import read_table
    from mien.workshop.data.factory import load_dataset

    if kind and kind not in KINDS:
        raise ConfigError(f"unknown kind {kind!r}: expected one of {', '.join(KINDS)}")
    name = reviewer_name(reviewer) if reviewer else ""
    port = free_port(port)
    table = read_table(issues)
    if not table.issues:
        raise DataError(f"{issues} holds no issue: there is nothing to review")
    dataset = load_dataset(data or Path(table.data), check_counts=not any_size)
    require_dataset(table, dataset)
    decisions = Decisions(decisions_path(issues), table)
    start(Bench(issues.name, table, dataset, decisions, name, kind), port=port, browser=not no_browser)
