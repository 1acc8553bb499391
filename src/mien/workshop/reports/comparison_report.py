"""A comparison's report: `comparison.html` and `comparison.md` for people, `comparison.json` for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.arrays import Float64, Int64, UInt8
from mien.workshop.evaluation.compare import BATCH, ClassChange, Comparison, Contender, main_comparisons, verdict
from mien.workshop.evaluation.models import Duel
from mien.workshop.evaluation.scores import INTERVAL_RULE
from mien.workshop.evaluation.stored import plain
from mien.workshop.reports.charts import Axis, Plot
from mien.workshop.reports.document import (
    Block,
    Bullets,
    Chart,
    Columns,
    Face,
    Facts,
    Gallery,
    Grid,
    Heading,
    Text,
    document_files,
    write_files,
)
from mien.workshop.reports.material import change, decimal, p_value, plural, ranged, signed

STEM, JSON_FILE = "comparison", "comparison.json"
SHOWN = 16
"""Faces of each kind."""
_PLACES = ("First", "Second")
_RIGHTS = ("head", "faces", "labels", "rows", "first %", "second %", "difference", "only first / second", "p")
_SCORES = ("head", "faces", "labels", "model", "accuracy %", "macro F1", "ECE", "Brier", "NLL")
_COSTS = ("model", "ms a face, one by one", "ms a face, in batches", "size", "parameters")
_CLASSES = (
    "class", "faces", "recall, first", "second", "change", "F1, first", "second", "change", "lost", "gained",
)  # fmt: skip


def report_comparison(duel: Duel, out: Path, *, faces: bool = True) -> list[Path]:
    """Write a comparison into `out`, each file whole or not at all.

    Args:
        duel: from `compare_models`.
        out: made if need be; files of an earlier comparison are replaced.
        faces: show pictures of people, faces on which the models differ.

    Returns:
        The files, `comparison.html` first.

    Raises:
        ConfigError: the folder cannot be written.
    """
    title = f"{duel.second.name} against {duel.first.name}"
    files = document_files(title, describe(duel, faces=faces), contents=True, stem=STEM)
    files[JSON_FILE] = (json.dumps(to_dict(duel), indent=1, allow_nan=False) + "\n").encode()
    return write_files(files, out)


def describe(duel: Duel, *, faces: bool = True) -> list[Block]:
    """The whole comparison as blocks."""
    both = (duel.first, duel.second)
    evaluation = duel.first.evaluation
    rounds = len(duel.first.speed.single_ms)
    blocks: list[Block] = [
        Bullets([verdict(row, duel.names) for row in main_comparisons(duel.found)]),
        Facts(
            [
                *zip(_PLACES, (f"{c.name}, sha256 `{c.evaluation.model.sha256}`" for c in both), strict=True),
                ("Data", f"{evaluation.dataset}, {evaluation.dataset_rows:,} rows"),
                ("Data, sha256", f"`{evaluation.dataset_sha256}`"),
                ("Date", evaluation.date),
                ("Intervals", INTERVAL_RULE),
                *_missing_heads(both),
            ]
        ),
        Heading("Right and wrong"),
        Grid(_RIGHTS, [_rights(row) for row in duel.found], text_columns=3),
        Text(
            "Only first, only second: faces that only this model has right. p: McNemar's exact test, how often chance "
            "alone would divide them so unevenly. The difference is second minus first, with its 95 % paired bootstrap "
            "interval."
        ),
        Heading("Scores"),
        Grid(_SCORES, list(_scores(duel.found)), text_columns=4),
        Heading("Speed and size"),
        Grid(_COSTS, [_costs(contender) for contender in both]),
        Text(
            "From crop to probabilities, all heads, on the CPU, both models in turn on the same faces; medians of "
            f"{rounds} rounds with the interquartile range. A batch is {BATCH} faces."
        ),
    ]
    for row in main_comparisons(duel.found):
        blocks += _set_blocks(row, duel, faces)
    return blocks


def to_dict(duel: Duel) -> dict[str, Any]:
    """The comparison as plain numbers and strings, None where a figure is undefined."""
    evaluation = duel.first.evaluation
    return {
        "date": evaluation.date,
        "data": {"name": evaluation.dataset, "sha256": evaluation.dataset_sha256},
        "models": [
            {
                "name": c.name,
                "sha256": c.evaluation.model.sha256,
                "ms_single": c.speed.single,
                "ms_batch": c.speed.batch,
                "size_bytes": c.size_bytes,
                "parameters": c.parameters,
            }
            for c in (duel.first, duel.second)
        ],
        "sets": {row.faces.key: _set_dict(row) for row in duel.found},
    }


def class_plot(row: Comparison, names: Sequence[str], measure: str) -> Plot:
    """Recall or F1 of both models for each class: the first a ring, the second a disc, warm where it is worse."""
    pairs = [getattr(found, measure.lower()) for found in row.classes]
    words = "; ".join(
        f"{found.name} {decimal(a, 2)} and {decimal(b, 2)}" for found, (a, b) in zip(row.classes, pairs, strict=True)
    )
    plot = Plot(
        f"{measure} of {names[0]} and {names[1]}: {words}",
        Axis(0, 1, measure, [(n / 5, f"{n / 5:g}") for n in range(6)]),
        # From high to low, since charts count upwards and the first class belongs on top.
        Axis(len(pairs) - 0.5, -0.5, "", [(n, found.name) for n, found in enumerate(row.classes)]),
        height=56 + 26 * len(pairs), left=76, grid="x",
    )  # fmt: skip
    for at, (before, after) in enumerate(pairs):
        # F1 is NaN where a class is neither labelled nor predicted.
        if not (math.isfinite(before) and math.isfinite(after)):
            continue
        kind = "one" if after >= before else "two"
        hint = f"{row.classes[at].name}: {before:.3f}, then {after:.3f}"
        plot.line([(before, at), (after, at)], kind, wide=2.5)
        plot.dot(before, at, "ring", radius=4.5, hint=hint)
        plot.dot(after, at, f"fill-{kind}", radius=5, hint=hint)
    return plot


def differing(row: Comparison, images: UInt8, *, seed: int = 0) -> list[tuple[int, list[Face]]]:
    """The faces that only the first and only the second model has right: their number, and a random few of each."""
    one, other = row.right
    found = []
    for mask in (one & ~other, other & ~one):
        rows = np.flatnonzero(mask)
        # Seeded for each kind, so that the one's number does not change the other's faces.
        picked = pick(rows, row.faces.truth, np.random.default_rng(seed))
        found.append((len(rows), [_face(row, int(at), images) for at in picked]))
    return found


def pick(rows: Int64, truth: Int64, generator: np.random.Generator, count: int = SHOWN) -> Int64:
    """Random rows, the classes taking turns, then ordered by class."""
    # Without turns, happy and neutral would fill the gallery.
    order = generator.permutation(rows)
    turn = np.empty(len(order), np.int64)
    for label in np.unique(truth[order]):
        of_class = truth[order] == label
        turn[of_class] = np.arange(of_class.sum())
    chosen = order[np.argsort(turn, kind="stable")][:count]
    return np.asarray(chosen[np.argsort(truth[chosen], kind="stable")])


def _face(row: Comparison, at: int, images: UInt8) -> Face:
    classes = row.faces.classes
    truth = int(row.faces.truth[at])
    lines = [f"**{classes[truth]}**"]
    for number, scores in enumerate(row.scores, start=1):
        predicted = int(scores.predicted[at])
        said = f"{number}  {classes[predicted]} {100 * scores.confidence[at]:.0f} %"
        lines.append(f"{{{'good' if predicted == truth else 'mark'}|{said}}}")
    return Face(images[row.faces.rows[at]], lines, f"Face labelled {classes[truth]}; " + "; ".join(lines[1:]))


def _set_blocks(row: Comparison, duel: Duel, faces: bool) -> list[Block]:
    key, names = row.faces.key, duel.names
    blocks: list[Block] = [
        Heading(
            f"{row.faces.head} on {row.faces.title} ({row.faces.labels_from}), by class",
            key=f"classes-{key}",
            short=f"{row.faces.head} by class",
        ),
        Grid(_CLASSES, [_class_row(found) for found in row.classes]),
        Text("Lost and gained: faces of the class that only the first, or only the second model has right."),
    ]
    said = f"Ring: {names[0]}; disc: {names[1]}, blue if better, orange if worse."
    charts = [
        [Chart(class_plot(row, names, measure), f"**{measure}** of each class. {said}", f"{measure.lower()}-{key}")]
        for measure in ("Recall", "F1")
    ]
    blocks.append(Columns(charts))
    for number, (count, some) in enumerate(differing(row, duel.dataset.images) if faces else []):
        title = f"Only {names[number]} has them right"
        blocks.append(Heading(title, 3, f"only-{number + 1}-{key}", f"{plural(count, 'face')}, {len(some)} shown"))
        said = f"Below each face: its label, then 1 {names[0]}, 2 {names[1]}. Drawn at random, the classes in turn."
        blocks += [Text(said, "soft"), Gallery(some)] if some else [Text("There is none.")]
    return blocks


def _missing_heads(both: tuple[Contender, Contender]) -> list[tuple[str, str]]:
    heads = [{scores.faces.head for scores in contender.evaluation.sets} for contender in both]
    return [
        ("Left out", f"head {head}, which only {both[n].name} has")
        for n in (0, 1)
        for head in sorted(heads[n] - heads[1 - n])
    ]


def _rights(row: Comparison) -> tuple[str, ...]:
    return (
        row.faces.head, row.faces.title, row.faces.labels_from, f"{len(row.faces.rows):,}",
        f"{100 * row.first:.2f}", f"{100 * row.second:.2f}",
        f"**{signed(100 * (row.second - row.first), 2)}** {{range|({change(row.difference)})}}",
        f"{row.only_first:,} / {row.only_second:,}", p_value(row.p_value),
    )  # fmt: skip


def _scores(found: Sequence[Comparison]) -> Iterable[tuple[str, ...]]:
    for row in found:
        for place, s in zip(("first", "second"), row.scores, strict=True):
            yield (
                row.faces.head, row.faces.title, row.faces.labels_from, place,
                ranged(s.accuracy, s.accuracy_interval, digits=2),
                ranged(s.macro_f1, s.macro_f1_interval, scale=1, digits=3),
                f"{s.ece:.3f}", f"{s.brier:.3f}", f"{s.nll:.3f}",
            )  # fmt: skip


def _costs(c: Contender) -> tuple[str, ...]:
    times = (_median(c.speed.single_ms), _median(c.speed.batch_ms))
    return (c.name, *times, f"{c.size_bytes / 1e6:.1f} MB", f"{c.parameters:,}")


def _median(values: Float64) -> str:
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} {{range|({low:.2f}–{high:.2f})}}"


def _class_row(found: ClassChange) -> tuple[str, ...]:
    cells = []
    for first, second in (found.recall, found.f1):
        gap = second - first
        cells += [decimal(first), decimal(second), signed(gap, 3) if math.isfinite(gap) else decimal(gap)]
    return (found.name, f"{found.faces:,}", *cells, f"{found.lost:,}", f"{found.gained:,}")


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
            found.name: {
                "faces": found.faces,
                "recall": [plain(value) for value in found.recall],
                "f1": [plain(value) for value in found.f1],
                "lost": found.lost,
                "gained": found.gained,
            }
            for found in row.classes
        },
    }
