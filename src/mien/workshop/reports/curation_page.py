"""The issues as a page with the pictures: one HTML file, counts first, then the clearest suspects of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mien.errors import ConfigError, DataError
from mien.files import write_whole
from mien.workshop.curation.issues import KINDS, SUGGESTIONS, Issue, IssueTable, label_name
from mien.workshop.curation.table import table_files
from mien.workshop.data.base import SPLITS, FaceDataset
from mien.workshop.reports.document import (
    Block,
    Bullets,
    Cards,
    Columns,
    Face,
    Gallery,
    Grid,
    Heading,
    Text,
    to_html,
)

GROUPS = ("leak", "conflict", "duplicate", "near-duplicate")
SHOWN = {"label": 96, "no-face": 96}
SHOWN_OTHERS, SHOWN_GROUPS, SHOWN_OF_GROUP = 48, 30, 6
"""How many of a kind the page shows, and how many pictures of a group: it stays under 5 MB."""


def write_page(table: IssueTable, dataset: FaceDataset, path: Path) -> Path:
    """Write the page beside the table called `path`, with its name and `.html`, whole or not at all.

    Raises:
        DataError: the data set is another.
        ConfigError: the page cannot be written.
    """
    if dataset.sha256 != table.sha256 or len(dataset) != table.dataset_rows:
        raise DataError(f"{dataset.name} is not the data set of the table: make the table again with mien data curate")
    file = table_files(path)[-1]
    try:
        # IDs are file names, which need not be Unicode.
        write_whole(file, render(table, dataset).encode("utf-8", "replace"))
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror or error}") from error
    return file


def render(table: IssueTable, dataset: FaceDataset) -> str:
    """The page's HTML."""
    lead = f"{table.dataset_rows:,} pictures, checked on {table.created[:10]}"
    lead += f", compared by {table.model}." if table.model else "."
    return to_html(f"What is suspicious in {table.dataset}", describe(table, dataset), lead=lead, contents=True)


def describe(table: IssueTable, dataset: FaceDataset) -> list[Block]:
    """The whole page as blocks."""
    kinds = [kind for kind in KINDS if table.of_kind(kind)]
    return [
        _cards(table),
        Text(
            "These are suspicions for a person to decide on. The page holds the pictures themselves: keep it where the "
            "data set may be kept.",
            "note",
        ),
        _overview(table, dataset, kinds),
        *(block for kind in kinds for block in _section(kind, table.of_kind(kind), dataset, table)),
        Heading("Notes"),
        Bullets(table.notes),
    ]


def suspects(issue: Issue) -> tuple[int, ...]:
    """The rows that a suggestion is about: of a group all but the first, which is kept."""
    return issue.rows[1:] if issue.kind in GROUPS else issue.rows


def _cards(table: IssueTable) -> Cards:
    rows = {row for issue in table.issues for row in issue.rows}
    dropped = {row for issue in table.issues if issue.suggestion == "drop" for row in suspects(issue)}
    relabelled = {row for issue in table.issues if issue.suggestion == "relabel" for row in suspects(issue)}
    figures = [
        (len(table.issues), "issues"), (len(rows), "pictures in them"), (len(dropped), "suggested to drop"),
        (len(relabelled), "suggested to relabel"),
    ]  # fmt: skip
    return Cards([(f"{value:,}", name) for value, name in figures])


def _overview(table: IssueTable, dataset: FaceDataset, kinds: Sequence[str]) -> Block:
    """Issues by kind and suggestion, and the pictures in them by split."""
    there = [part for part in range(len(SPLITS)) if (dataset.split == part).any()]
    lines = []
    for kind in kinds:
        issues = table.of_kind(kind)
        rows = np.array(sorted({row for issue in issues for row in issue.rows}), np.int64)
        by_split = [int((dataset.split[rows] == part).sum()) for part in there]
        by_suggestion = [sum(issue.suggestion == name for issue in issues) for name in SUGGESTIONS]
        counts = [f"{count:,}" if count else "" for count in (len(issues), *by_suggestion, *by_split)]
        lines.append([f"[{kind}](#{kind})", KINDS[kind], *counts])
    names = ["kind", "meaning", "issues", *SUGGESTIONS, *(f"in {SPLITS[part]}" for part in there)]
    return Grid(names, lines, text_columns=2) if lines else Text("Nothing was found.")


def _section(kind: str, issues: Sequence[Issue], dataset: FaceDataset, table: IssueTable) -> list[Block]:
    grouped = kind in GROUPS
    shown = issues[: SHOWN_GROUPS if grouped else SHOWN.get(kind, SHOWN_OTHERS)]
    count = f"{len(issues):,}" if len(shown) == len(issues) else f"the {len(shown)} most certain of {len(issues):,}"
    title = Heading(KINDS[kind].capitalize(), key=kind, note=f"{kind}, {count}", short=kind)
    if kind == "class":
        return [title, Bullets([issue.detail for issue in shown])]
    if grouped:
        return [title, Columns([[_group(issue, dataset, table)] for issue in shown], "groups")]
    return [title, Gallery([_single(issue, dataset, table) for issue in shown])]


def _single(issue: Issue, dataset: FaceDataset, table: IssueTable) -> Face:
    row = issue.rows[0]
    said = _label(dataset, row)
    if issue.suggestion == "relabel":
        said += f" → {{good|{issue.label}}}"
    elif issue.suggestion == "drop":
        said += " {bad|drop}"
    lines = (said, f"{{small|{issue.score:.3f} · {SPLITS[dataset.split[row]]}}}", f"{{small|{_id(row, table)}}}")
    return Face(dataset.images[row], lines, _name(dataset, row), issue.detail)


def _group(issue: Issue, dataset: FaceDataset, table: IssueTable) -> Gallery:
    faces = []
    drop = issue.suggestion == "drop"
    for place, row in enumerate(issue.rows[:SHOWN_OF_GROUP]):
        said = _label(dataset, row) + (" {bad|drop}" if drop and place > 0 else "")
        lines = (said, f"{{small|{SPLITS[dataset.split[row]]}}}", f"{{small|{_id(row, table)}}}")
        faces.append(Face(dataset.images[row], lines, _name(dataset, row), issue.detail, kept=drop and place == 0))
    return Gallery(faces, issue.detail, len(issue.rows) - SHOWN_OF_GROUP)


def _label(dataset: FaceDataset, row: int) -> str:
    return label_name(int(dataset.labels[row]))


def _name(dataset: FaceDataset, row: int) -> str:
    return f"row {row}, {_label(dataset, row)}"


def _id(row: int, table: IssueTable) -> str:
    """The end of a row's ID, or its number if the ID says no more."""
    name = table.ids[row]
    if name.endswith(str(row)) or len(name) < 4:
        return f"row {row}"
    return f"…{name[-26:]}" if len(name) > 27 else name
