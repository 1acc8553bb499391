"""What `mien model compare` prints: two models side by side, or several against the first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from mien.apps.cli.printing import create_table

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.evaluation.compare import Comparison, Contender
    from mien.workshop.evaluation.models import Duel


def duel_tables(duel: Duel) -> list[Table]:
    """Who is right how often, the classes of each head's main set, speed and size."""
    from mien.workshop.evaluation.compare import main_comparisons

    costs = create_table("speed and size", "model", "ms a face", "in batches", "size", "parameters")
    for side in (duel.first, duel.second):
        size, speed = f"{side.size_bytes / 1e6:.1f} MB", side.speed
        costs.add_row(side.name, f"{speed.single:.2f}", f"{speed.batch:.2f}", size, f"{side.parameters:,}")
    return [*_accuracy_tables(duel), *(_classes_table(row) for row in main_comparisons(duel.found)), costs]


def _accuracy_tables(duel: Duel) -> Iterator[Table]:
    """A table for each head and kind of labels."""
    for (head, labels_from), rows in groupby(duel.found, lambda row: (row.faces.head, row.faces.labels_from)):
        title = f"head {head}, {labels_from}: {duel.names[1]} below {duel.names[0]}, 95 % intervals"
        table = create_table(title, "faces", "rows", "accuracy %", "alone", "difference", "macro F1", "ECE", "p")
        for row in rows:
            low, high = (100 * end for end in row.difference)
            one, other = row.scores
            table.add_row(
                row.faces.title,
                f"{len(row.faces.rows):,}",
                f"{100 * row.first:.2f}\n{100 * row.second:.2f}",
                f"{row.only_first:,}\n{row.only_second:,}",
                f"{100 * (row.second - row.first):+.2f}\n{low:+.1f} to {high:+.1f}",
                f"{one.macro_f1:.3f}\n{other.macro_f1:.3f}",
                f"{one.ece:.3f}\n{other.ece:.3f}",
                f"{row.p_value:.3f}" if row.p_value >= 0.001 else "<0.001",
            )
        yield table


def _classes_table(row: Comparison) -> Table:
    title = f"{row.faces.head} on {row.faces.title}, {row.faces.labels_from}: by class"
    table = create_table(title, "class", "faces", "recall", "", "F1", "", "lost", "gained")
    for change in row.classes:
        table.add_row(
            change.name,
            f"{change.faces:,}",
            f"{change.recall[0]:.3f} → {change.recall[1]:.3f}",
            f"{change.recall[1] - change.recall[0]:+.3f}",
            f"{change.f1[0]:.3f} → {change.f1[1]:.3f}",
            f"{change.f1[1] - change.f1[0]:+.3f}",
            f"{change.lost:,}",
            f"{change.gained:,}",
        )
    return table


def ranking_tables(duels: Sequence[Duel]) -> list[Table]:
    """A table a head: each model's accuracy, and its difference from the first with p adjusted by Holm's method."""
    from mien.workshop.reports.ranking_report import adjusted, by_set

    tables, first = [], duels[0].first
    for rows in by_set(duels):
        sample = rows[0][1]
        faces = f"{sample.faces.title}, {sample.faces.labels_from}, {len(sample.faces.rows):,} faces"
        table = create_table(
            f"{sample.faces.head}: {faces}", "model", "accuracy %", "difference", "p", "macro F1", "ms", "MB"
        )
        macro = f"{sample.scores[0].macro_f1:.3f}"
        table.add_row(first.name, f"{100 * sample.first:.2f}", "", "", macro, *_cost(first))
        for (duel, row), p in zip(rows, adjusted([row.p_value for _, row in rows]), strict=True):
            low, high = (100 * end for end in row.difference)
            table.add_row(
                duel.second.name, f"{100 * row.second:.2f}",
                f"{100 * (row.second - row.first):+.2f}\n{low:+.1f} to {high:+.1f}",
                f"{p:.3f}" if p >= 0.001 else "< 0.001", f"{row.scores[1].macro_f1:.3f}", *_cost(duel.second),
            )  # fmt: skip
        tables.append(table)
    return tables


def _cost(side: Contender) -> tuple[str, str]:
    return f"{side.speed.single:.2f}", f"{side.size_bytes / 1e6:.1f}"
