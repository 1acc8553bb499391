"""A comparison on disk: `comparison.md` for people, `comparison.json` for programs, and pictures beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mien.errors import ConfigError
from mien.files import write_whole
from mien.workshop.data.base import FaceDataset
from mien.workshop.evaluation.compare import ClassChange, Comparison, main_comparisons
from mien.workshop.evaluation.intervals import Interval
from mien.workshop.evaluation.scores import Evaluation, SetScores
from mien.workshop.evaluation.speed import BATCH, Speed
from mien.workshop.reports.evaluation.gallery import classes_png, gallery_png
from mien.workshop.reports.evaluation.method import INTERVAL_RULE

MARKDOWN_FILE, JSON_FILE = "comparison.md", "comparison.json"

HELP = (
    "*Alone*: faces that only this model has right. *p*: McNemar's exact test, how often chance alone divides them so "
    "unevenly. The difference is second less first, with its 95 % paired bootstrap interval."
)


@dataclass(frozen=True)
class Contender:
    """One of two models: what it is called here, its evaluation, its speed, its size on disk and its parameters."""

    name: str
    evaluation: Evaluation
    speed: Speed
    size_bytes: int
    parameters: int


def write_comparison(
    first: Contender, second: Contender, found: Sequence[Comparison], dataset: FaceDataset, folder: Path,
    *, pictures: bool = True,
) -> list[Path]:  # fmt: skip
    """Write a comparison into `folder`, each file whole or not at all.

    Args:
        first, second: the models.
        found: from `compare` of their evaluations.
        dataset: the faces, for the pictures.
        folder: made if need be; files of an earlier comparison are replaced.
        pictures: draw them, which needs matplotlib.

    Returns:
        The files, `comparison.md` first.

    Raises:
        ConfigError: when the folder cannot be written.
        MissingExtraError: when pictures are wanted without matplotlib.
    """
    both = (first, second)
    files = {
        MARKDOWN_FILE: to_markdown(both, found, pictures=pictures).encode(),
        JSON_FILE: (json.dumps(to_dict(both, found), indent=1, allow_nan=False) + "\n").encode(),
    }
    names = [contender.name for contender in both]
    for row in main_comparisons(found) if pictures else []:
        files[f"classes-{row.faces.key}.png"] = classes_png(row, names)
        files[f"faces-{row.faces.key}.png"] = gallery_png(row, dataset.images, names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_whole(folder / name, content)
    except OSError as error:
        raise ConfigError(f"the comparison cannot be written to {folder}: {error.strerror or error}") from error
    return [folder / name for name in files]


def to_markdown(both: tuple[Contender, Contender], found: Sequence[Comparison], *, pictures: bool = True) -> str:
    """The comparison for people; with `pictures`, it shows those that `write_comparison` puts beside it."""
    first, second = both
    evaluation = first.evaluation
    lines = [
        f"# {second.name} against {first.name}",
        "",
        f"- Date: {evaluation.date}",
        *(f"- {place}: {c.name}, sha256 `{c.evaluation.model.sha256}`" for place, c in zip(_PLACES, both, strict=True)),
        f"- Data: {evaluation.dataset}, {evaluation.dataset_rows:,} rows, sha256 `{evaluation.dataset_sha256}`",
        f"- {INTERVAL_RULE}",
        *_missing_heads(both),
        "",
        "## Right and wrong",
        "",
        *_table(_RIGHTS, _rights(found), 3),
        "",
        HELP,
        "",
        "## Scores",
        "",
        *_table(("head", "faces", "labels", "model", "accuracy %", "macro F1", "calibration error", "Brier", "NLL"),
                _scores(found), 4),
        "",
        "## Speed and size",
        "",
        *_table(("model", "ms a face, one by one", "ms a face, in batches", "size", "parameters"), _costs(both), 1),
        "",
        f"From crop to probabilities, all heads, on the processor, both models in turns on the same faces; medians of "
        f"{len(first.speed.single_ms)} rounds with the range of the middle half. A batch is {BATCH} faces.",
    ]  # fmt: skip
    for row in main_comparisons(found):
        lines += _section(row, pictures)
    return "\n".join(lines) + "\n"


def to_dict(both: tuple[Contender, Contender], found: Sequence[Comparison]) -> dict[str, Any]:
    """The comparison as plain numbers and strings; what is not defined is None."""
    return {
        "date": both[0].evaluation.date,
        "data": {"name": both[0].evaluation.dataset, "sha256": both[0].evaluation.dataset_sha256},
        "models": [
            {
                "name": c.name,
                "sha256": c.evaluation.model.sha256,
                "ms_single": c.speed.single,
                "ms_batch": c.speed.batch,
                "size_bytes": c.size_bytes,
                "parameters": c.parameters,
            }
            for c in both
        ],
        "sets": {row.faces.key: _set_dict(row) for row in found},
    }


_PLACES = ("First", "Second")
_RIGHTS = ("head", "faces", "labels", "rows", "first %", "second %", "difference", "alone", "p")
_CLASSES = (
    "class", "faces", "recall, first", "second", "change", "F1, first", "second", "change", "lost", "gained",
)  # fmt: skip


def _missing_heads(both: tuple[Contender, Contender]) -> list[str]:
    heads = [{scores.faces.head for scores in c.evaluation.sets} for c in both]
    return [
        f"- Only {both[n].name} has the head {head}: left out here."
        for n in (0, 1)
        for head in sorted(heads[n] - heads[1 - n])
    ]


def _rights(found: Sequence[Comparison]) -> list[tuple[str, ...]]:
    return [
        (
            row.faces.head, row.faces.title, row.faces.labels_from, f"{len(row.faces.rows):,}",
            f"{100 * row.first:.2f}", f"{100 * row.second:.2f}",
            f"**{100 * (row.second - row.first):+.2f}** {_range(row.difference, 100, '+.1f')}",
            f"{row.only_first:,} / {row.only_second:,}",
            f"{row.p_value:.3f}" if row.p_value >= 0.001 else "< 0.001",
        )
        for row in found
    ]  # fmt: skip


def _scores(found: Sequence[Comparison]) -> Iterable[tuple[str, ...]]:
    for row in found:
        for place, scores in zip(("first", "second"), row.scores, strict=True):
            yield (row.faces.head, row.faces.title, row.faces.labels_from, place, *_figures(scores))


def _figures(scores: SetScores) -> tuple[str, ...]:
    return (
        f"{100 * scores.accuracy:.2f} {_range(scores.accuracy_interval, 100, '.1f')}",
        f"{scores.macro_f1:.3f} {_range(scores.macro_f1_interval, 1, '.3f')}",
        f"{scores.ece:.3f}",
        f"{scores.brier:.3f}",
        f"{scores.nll:.3f}",
    )


def _costs(both: Sequence[Contender]) -> list[tuple[str, ...]]:
    return [
        (c.name, _median(c.speed.single_ms), _median(c.speed.batch_ms), f"{c.size_bytes / 1e6:.1f} MB",
         f"{c.parameters:,}")
        for c in both
    ]  # fmt: skip


def _median(values: Any) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def _section(row: Comparison, pictures: bool) -> list[str]:
    faces = row.faces
    lines = [
        "", f"## {faces.head} on {faces.title} ({faces.labels_from}), a class each", "",
        *_table(_CLASSES, [_class_row(change) for change in row.classes], 1),
        "", "*Lost* and *gained*: faces of the class that only the first, only the second has right.",
    ]  # fmt: skip
    if pictures:
        lines += [
            "", f"![Recall and F1 of each class](classes-{faces.key}.png)",
            "", f"![Faces on which the models differ](faces-{faces.key}.png)",
        ]  # fmt: skip
    return lines


def _class_row(change: ClassChange) -> tuple[str, ...]:
    cells = [f"{value:{form}}" if math.isfinite(value) else "–" for pair in (change.recall, change.f1)
             for value, form in ((pair[0], ".3f"), (pair[1], ".3f"), (pair[1] - pair[0], "+.3f"))]  # fmt: skip
    return (change.name, f"{change.faces:,}", *cells, f"{change.lost:,}", f"{change.gained:,}")


def _set_dict(row: Comparison) -> dict[str, Any]:
    return {
        "title": row.faces.title,
        "head": row.faces.head,
        "labels": row.faces.labels_from,
        "rows": len(row.faces.rows),
        "accuracy": [row.first, row.second],
        "difference_interval": list(row.difference),
        "alone": [row.only_first, row.only_second],
        "p": row.p_value,
        "macro_f1": [scores.macro_f1 for scores in row.scores],
        "ece": [scores.ece for scores in row.scores],
        "classes": {
            change.name: {
                "faces": change.faces,
                "recall": [_plain(value) for value in change.recall],
                "f1": [_plain(value) for value in change.f1],
                "lost": change.lost,
                "gained": change.gained,
            }
            for change in row.classes
        },
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _range(interval: Interval, scale: float, form: str) -> str:
    between = " to " if form.startswith("+") else "–"
    return f"({scale * interval.low:{form}}{between}{scale * interval.high:{form}})"


def _table(names: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int) -> list[str]:
    rule = ["---" if column < text_columns else "---:" for column in range(len(names))]
    return [f"| {' | '.join(cells)} |" for cells in (names, rule, *rows)]
