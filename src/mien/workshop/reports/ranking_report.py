"""A report of several models against the first: one page with all, and a folder with the comparison of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from mien.workshop.evaluation.compare import Comparison, Contender, main_comparisons
from mien.workshop.evaluation.models import Duel
from mien.workshop.evaluation.scores import INTERVAL_RULE, SetScores
from mien.workshop.reports.comparison_report import JSON_FILE, STEM, report_comparison, to_dict
from mien.workshop.reports.document import Block, Bullets, Facts, Grid, Heading, Text, document_files, write_files
from mien.workshop.reports.material import change, decimal, p_value, percent, plural, span

_COLUMNS = ("model", "accuracy %", "against the first", "p, adjusted", "macro F1", "ECE", "ms a face", "size")


def report_comparisons(duels: Sequence[Duel], out: Path, *, faces: bool = True) -> list[Path]:
    """Write `comparison.html`, `.md` and `.json` of all models into `out`, and each comparison into a folder in it.

    Args:
        duels: from `compare_with_first`; for a single one, its comparison alone is written.
        out, faces: as `report_comparison` takes them.

    Returns:
        The files, `comparison.html` of all first.

    Raises:
        ConfigError: the folder cannot be written.
    """
    if len(duels) == 1:
        return report_comparison(duels[0], out, faces=faces)
    files = document_files(f"{len(duels) + 1} models on {duels[0].dataset.name}", _describe(duels), stem=STEM)
    files[JSON_FILE] = (json.dumps([to_dict(duel) for duel in duels], indent=1, allow_nan=False) + "\n").encode()
    written = write_files(files, out)
    for duel in duels:
        written += report_comparison(duel, out / folder_of(duel), faces=faces)
    return written


def folder_of(duel: Duel) -> str:
    """The name of a comparison's folder."""
    return re.sub(r"[^\w.-]+", "-", duel.second.name).strip("-")


def by_set(duels: Sequence[Duel]) -> list[list[tuple[Duel, Comparison]]]:
    """The main sets, each with the duels that have it: a model may lack a head of the first."""
    found: dict[str, list[tuple[Duel, Comparison]]] = {}
    for duel in duels:
        for row in main_comparisons(duel.found):
            found.setdefault(row.faces.key, []).append((duel, row))
    return list(found.values())


def adjusted(p_values: Sequence[float]) -> list[float]:
    """p-values by Holm's method, in their order: several comparisons find a difference by chance more often.

    >>> adjusted([0.04, 0.01, 0.5])
    [0.08, 0.03, 0.5]
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    out, highest = [0.0] * len(p_values), 0.0
    for place, number in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - place) * p_values[number]))
        out[number] = highest
    return out


def _describe(duels: Sequence[Duel]) -> list[Block]:
    evaluation = duels[0].first.evaluation
    blocks: list[Block] = [
        Facts([
            ("Data", f"{evaluation.dataset}, {evaluation.dataset_rows:,} rows"),
            ("Date", evaluation.date), ("Intervals", INTERVAL_RULE),
        ]),
    ]  # fmt: skip
    for rows in by_set(duels):
        sample = rows[0][1]
        lines = [_line(duels[0].first, sample.scores[0], ("", ""))]
        p_values = adjusted([row.p_value for _, row in rows])
        lines += [
            _line(duel.second, row.scores[1], (change(row.difference), p_value(p)))
            for (duel, row), p in zip(rows, p_values, strict=True)
        ]
        count = plural(sample.scores[0].rows, "face")
        title = f"{sample.faces.head}: {sample.faces.title}, {sample.faces.labels_from}, {count}"
        blocks += [Heading(title), Grid(_COLUMNS, lines)]
    return [
        *blocks,
        Text(
            "All on the same faces. Against the first: its accuracy less, in points, with the 95 % paired bootstrap "
            "interval. p: McNemar's exact test, adjusted by Holm's method for the number of models. Whoever chooses "
            "the best of many on the test faces overrates it: choose on others."
        ),
        Heading("Each against the first"),
        Bullets(list(_links(duels))),
    ]


def _line(contender: Contender, scores: SetScores, against: tuple[str, str]) -> list[str]:
    return [
        contender.name, f"{percent(scores.accuracy)}\n{{range|{span(scores.accuracy_interval)}}}", *against,
        decimal(scores.macro_f1, 3), decimal(scores.ece, 3), f"{contender.speed.single:.2f}",
        f"{contender.size_bytes / 1e6:.1f} MB",
    ]  # fmt: skip


def _links(duels: Sequence[Duel]) -> Iterator[str]:
    for duel in duels:
        yield f"[{duel.second.name} against {duel.first.name}]({folder_of(duel)}/{STEM}.html)"
