"""`mien tune`: ranges of settings and a data set in, a search with its report and a study of the best out."""

from __future__ import annotations

from pathlib import Path

import click

from mien.apps.cli.parameters import PATH, Command, any_size, argument


@click.command("tune", cls=Command)
@argument("file", "TOML file with ranges, such as studies/tune-architectures.toml.", type=PATH)
@argument("data", "fer2013.csv, a folder that holds it, or an image folder.", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder of the search; one in it goes on.")
@click.option(
    "--storage",
    envvar="MIEN_STORAGE",
    show_envvar=True,
    metavar="URL",
    help="sqlite:///… or postgresql+psycopg://user:password@host/database; DIR/search.db if left out.",
)
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes on this machine.")
@click.option("--trials", type=click.IntRange(min=1), help="Of all workers together, instead of the file's.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]), default="auto", help="Where to train.")
@click.option("--report-only", is_flag=True, help="Train nothing, report what is there; also while workers run.")
@any_size
def app(
    file: Path,
    data: Path,
    out: Path,
    storage: str | None,
    workers: int,
    trials: int | None,
    device: str,
    report_only: bool,
    any_size: bool,
) -> None:
    """Search for better settings with Optuna; start it again to go on, elsewhere with the same storage to help.

    `optuna-dashboard URL` shows the same study in a browser.
    """
    from mien.apps.cli.extras import need_search_extra

    need_search_extra()
    from rich.console import Console

    from mien.workshop.experiments.search.job import Job
    from mien.workshop.experiments.search.plan import load_search
    from mien.workshop.experiments.search.run import open_study, run_search
    from mien.workshop.experiments.search.storage import sqlite_url
    from mien.workshop.reports.search.report import write_report

    console = Console()
    search = load_search(file)
    url = storage or sqlite_url(out)
    if report_only:
        study = open_study(search, url)
    else:
        job = Job(search, data, out, url, trials or search.search.trials, device, any_size)
        study = run_search(job, workers=workers, console=console)
    for path in write_report(search, study, out):
        console.print(str(path), highlight=False, soft_wrap=True)
