"""Robustness as plain numbers for `report.json` and as a table for `report.md`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mien.html import markdown_table
from mien.workshop.evaluation.robustness import SEED
from mien.workshop.evaluation.scores import Robustness, SpoiltScores
from mien.workshop.reports.evaluation.words import DASH, signed, span

MARKDOWN_HELP = (
    "The same faces, spoilt in one way at a time by the computer; in brackets 95 % intervals, those of the points of "
    "the difference face by face. What a shifted, loose or turned crop shows beyond the picture repeats its edge. NLL "
    "and calibration error as above."
)


def robustness_dict(found: Sequence[Robustness]) -> dict[str, Any] | None:
    """By the key of the set; None where it was not measured."""
    if not found:
        return None
    return {
        "seed": SEED,
        "sets": {
            row.clean.faces.key: {
                "untouched": {"accuracy": row.clean.accuracy, "nll": row.clean.nll, "ece": row.clean.ece},
                "spoilt": {part.corruption.key: _spoilt_dict(part) for part in row.spoilt},
            }
            for row in found
        },
    }


def robustness_lines(found: Sequence[Robustness]) -> list[str]:
    """A section of `report.md`; no line where it was not measured."""
    if not found:
        return []
    names = ["pictures", "made how"]
    for row in found:
        faces = row.clean.faces
        names += [f"{faces.head} on {faces.title} ({faces.labels_from}) %", "points", "NLL", "calibration error"]
    first = ["untouched", ""]
    for row in found:
        clean = row.clean
        first += [f"**{100 * clean.accuracy:.2f}** ({span(clean.accuracy_interval)})", DASH]
        first += [f"{clean.nll:.3f}", f"{clean.ece:.3f}"]
    rows = [first]
    for number, kind in enumerate(part.corruption for part in found[0].spoilt):
        cells = [kind.title, kind.how]
        for row in found:
            part = row.spoilt[number]
            low, high = (signed(100 * end, 1) for end in part.change_interval)
            cells += [f"**{100 * part.accuracy:.2f}** ({span(part.accuracy_interval)})"]
            cells += [f"{signed(100 * part.change, 1)} ({low} to {high})", f"{part.nll:.3f}", f"{part.ece:.3f}"]
        rows.append(cells)
    return ["", "## Poor pictures", "", MARKDOWN_HELP, "", *markdown_table(names, rows, text_columns=2)]


def _spoilt_dict(part: SpoiltScores) -> dict[str, Any]:
    return {
        "title": part.corruption.title,
        "how": part.corruption.how,
        "accuracy": part.accuracy,
        "accuracy_interval": list(part.accuracy_interval),
        "change": part.change,
        "change_interval": list(part.change_interval),
        "nll": part.nll,
        "ece": part.ece,
    }
