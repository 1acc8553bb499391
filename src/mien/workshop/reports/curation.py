"""The issues as a page with the pictures: one HTML file, counts first, then the surest suspects of each kind."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from mien.errors import ConfigError, DataError
from mien.files import write_whole
from mien.html import html_cards, html_table, page
from mien.images.pictures import encode, resize
from mien.workshop.curation.findings import label_name
from mien.workshop.curation.issues import KINDS, SUGGESTIONS, Issue, IssueTable
from mien.workshop.curation.table import table_files
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.reports.document import inline_html

GROUPS = ("leak", "conflict", "duplicate", "near-duplicate")
SHOWN = {"label": 96, "no-face": 96}
SHOWN_OTHERS, SHOWN_GROUPS, SHOWN_OF_GROUP = 48, 30, 6
"""How many of a kind the page shows, and how many pictures of a group: it stays under 5 MB."""

MOST_PICTURE_PX = 64

_STYLE = """<style>
.suspects { display: grid; grid-template-columns: repeat(auto-fill, minmax(6.6rem, 1fr)); gap: 1.1rem .8rem; }
.groups { display: flex; flex-wrap: wrap; gap: .8rem; }
.group { background: var(--panel); border-radius: 8px; padding: .7rem .8rem .6rem; max-width: 100%; }
.group > div { display: flex; flex-wrap: wrap; gap: .7rem; }
.group > p { margin: .45rem 0 0; font-size: .78rem; color: var(--soft); max-width: 22rem; }
.face { margin: 0; width: 6rem; font-size: .8rem; line-height: 1.35; }
.suspects .face { width: auto; }
.face img { width: 6rem; height: 6rem; border-radius: 5px; border: 1px solid var(--line); object-fit: cover; }
.face.kept img { outline: 2px solid var(--good); outline-offset: 1px; }
.face figcaption { margin-top: .3rem; font-size: inherit; line-height: inherit; color: var(--ink);
  overflow-wrap: anywhere; }
.face small { color: var(--soft); font-size: .74rem; display: block; font-variant-numeric: tabular-nums; }
.face .good, .face .bad { font-weight: 600; }
.more { color: var(--soft); font-size: .85rem; align-self: center; }
td a { white-space: nowrap; }
h2 .soft { font-weight: 400; font-size: .9rem; margin-left: .4rem; }
.private { border-left: 3px solid var(--accent); padding: .1rem 0 .1rem .9rem; color: var(--soft); font-size: .92rem; }
@media print { .face, .group { break-inside: avoid; } .group { border: 1px solid var(--line); } }
</style>"""


def write_page(table: IssueTable, dataset: FaceDataset, path: Path) -> Path:
    """Write the page beside the table called `path`, whole or not at all.

    Args:
        table: what was found.
        dataset: the data set that it was found in.
        path: of the table; the page has its name with `.html`.

    Raises:
        DataError: the data set is another.
        ConfigError: the page cannot be written.
    """
    if dataset.sha256 != table.sha256 or len(dataset) != table.dataset_rows:
        raise DataError(f"{dataset.name} is not the data set of the table: make it anew with mien curate")
    file = table_files(path)[-1]
    try:
        write_whole(file, render(table, dataset).encode("utf-8", "replace"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from error
    return file


def render(table: IssueTable, dataset: FaceDataset) -> str:
    """The page's HTML."""
    kinds = [kind for kind in KINDS if table.of_kind(kind)]
    parts = [_STYLE, _cards(table), _privacy(), _overview(table, dataset, kinds)]
    parts += [_section(kind, table.of_kind(kind), dataset, table) for kind in kinds]
    parts += ["<h2>Notes</h2><ul>", *(f"<li>{inline_html(note)}</li>" for note in table.notes), "</ul>"]
    lead = f"{table.dataset_rows:,} pictures, looked through on {table.created[:10]}"
    lead += f", compared by {table.model}." if table.model else "."
    return page(f"What is suspicious in {table.dataset}", "\n".join(parts), lead=lead)


def _cards(table: IssueTable) -> str:
    rows = {row for issue in table.issues for row in issue.rows}
    dropped = {row for issue in table.issues if issue.suggestion == "drop" for row in suspects(issue)}
    relabelled = {row for issue in table.issues if issue.suggestion == "relabel" for row in suspects(issue)}
    figures = [
        (len(table.issues), "issues"), (len(rows), "pictures in them"), (len(dropped), "suggested to drop"),
        (len(relabelled), "suggested to relabel"),
    ]  # fmt: skip
    return html_cards((f"{value:,}", name) for value, name in figures)


def suspects(issue: Issue) -> tuple[int, ...]:
    """The rows that a suggestion is about: of a group all but the first, which is kept."""
    return issue.rows[1:] if issue.kind in GROUPS else issue.rows


def _privacy() -> str:
    return (
        '<p class="private">These are suspicions, for a person to decide on. The page holds the pictures themselves: '
        "keep it where the data set may be kept.</p>"
    )


def _overview(table: IssueTable, dataset: FaceDataset, kinds: Sequence[str]) -> str:
    """Issues by kind and suggestion, and the pictures in them by split."""
    there = [part for part in range(len(SPLITS)) if (dataset.split == part).any()]
    lines = []
    for kind in kinds:
        issues = table.of_kind(kind)
        rows = np.array(sorted({row for issue in issues for row in issue.rows}), np.int64)
        by_split = [int((dataset.split[rows] == part).sum()) for part in there]
        by_suggestion = [sum(issue.suggestion == name for issue in issues) for name in SUGGESTIONS]
        counts = [f"{count:,}" if count else "" for count in (len(issues), *by_suggestion, *by_split)]
        lines.append([f'<a href="#{kind}">{kind}</a>', KINDS[kind], *counts])
    names = ["kind", "meaning", "issues", *SUGGESTIONS, *(f"in {SPLITS[part]}" for part in there)]
    return html_table(names, lines, text_columns=2) if lines else "<p>Nothing was found.</p>"


def _section(kind: str, issues: Sequence[Issue], dataset: FaceDataset, table: IssueTable) -> str:
    grouped = kind in GROUPS
    shown = issues[: SHOWN_GROUPS if grouped else SHOWN.get(kind, SHOWN_OTHERS)]
    count = f"{len(issues):,}" if len(shown) == len(issues) else f"the surest {len(shown)} of {len(issues):,}"
    title = f'<h2>{KINDS[kind].capitalize()}<span class="soft">{kind}, {count}</span></h2>'
    if kind == "class":
        body = "<ul>" + "".join(f"<li>{inline_html(issue.detail)}</li>" for issue in shown) + "</ul>"
    else:
        cells = "\n".join((_group if grouped else _single)(issue, dataset, table) for issue in shown)
        body = f'<div class="{"groups" if grouped else "suspects"}">\n{cells}\n</div>'
    return f'<section id="{kind}">\n{title}\n{body}\n</section>'


def _single(issue: Issue, dataset: FaceDataset, table: IssueTable) -> str:
    row = issue.rows[0]
    label = escape(label_name(int(dataset.labels[row])))
    if issue.suggestion == "relabel":
        said = f'{label} → <span class="good">{escape(issue.label)}</span>'
    else:
        said = f'{label} <span class="bad">drop</span>' if issue.suggestion == "drop" else label
    lines = f"{said}<small>{issue.score:.3f} · {SPLITS[dataset.split[row]]}</small><small>{_id(row, table)}</small>"
    return _face(row, dataset, lines, issue.detail)


def _group(issue: Issue, dataset: FaceDataset, table: IssueTable) -> str:
    faces = []
    for place, row in enumerate(issue.rows[:SHOWN_OF_GROUP]):
        drop = issue.suggestion == "drop" and place > 0
        fate = ' <span class="bad">drop</span>' if drop else ""
        label = f"{escape(label_name(int(dataset.labels[row])))}{fate}"
        lines = f"{label}<small>{SPLITS[dataset.split[row]]}</small><small>{_id(row, table)}</small>"
        faces.append(_face(row, dataset, lines, issue.detail, kept=issue.suggestion == "drop" and place == 0))
    more = len(issue.rows) - SHOWN_OF_GROUP
    if more > 0:
        faces.append(f'<span class="more">and {more} more</span>')
    return f'<div class="group"><div>{"".join(faces)}</div><p>{escape(issue.detail)}</p></div>'


def _face(row: int, dataset: FaceDataset, lines: str, detail: str, *, kept: bool = False) -> str:
    image = dataset.images[row]
    longest = max(image.shape[:2])
    if longest > MOST_PICTURE_PX:
        height, width = (max(1, side * MOST_PICTURE_PX // longest) for side in image.shape[:2])
        image = resize(image, height, width)
    data = base64.b64encode(encode(image)).decode("ascii")
    name = f"row {row}, {label_name(int(dataset.labels[row]))}"
    return (
        f'<figure class="face{" kept" if kept else ""}" title="{escape(detail)}">'
        f'<img alt="{escape(name)}" src="data:image/png;base64,{data}"><figcaption>{lines}</figcaption></figure>'
    )


def _id(row: int, table: IssueTable) -> str:
    """The end of a row's id, its number where the id says no more."""
    name = table.ids[row]
    return escape(
        f"row {row}" if name.endswith(str(row)) or len(name) < 4 else f"…{name[-26:]}" if len(name) > 27 else name
    )
