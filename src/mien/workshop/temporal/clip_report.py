"""The report on a temporal model: `report.html` and `report.md`, beside single frames and the best smoothing."""

from __future__ import annotations

from pathlib import Path

from mien.workshop.reports.document import Block, Cards, Facts, Grid, Heading, Text, document_files, write_files
from mien.workshop.temporal.evaluation import ClipEvaluation, Figures

_COLUMNS = ("read by", "frames right %", "label changes a second", "clips right %", "valence CCC", "arousal CCC")


def write_clip_report(found: ClipEvaluation, folder: Path) -> list[Path]:
    """Write the report into a folder, each file whole or not at all.

    Raises:
        ConfigError: the folder cannot be written.
    """
    return write_files(document_files(found.model, describe(found)), folder)


def describe(found: ClipEvaluation) -> list[Block]:
    """The report as blocks."""
    kept = [0, *(n for n, name in enumerate(_NAMES, start=1) if any(_cell(one, name) for one in found.figures))]
    rows = [[one.name, *(_cell(one, name) for name in _NAMES)] for one in found.figures]
    return [
        *_cards(found),
        Facts(
            [
                ("Data", f"{found.dataset}, {found.split}: {found.clips:,} clips, {found.frames:,} frames"),
                ("Data, sha256", f"`{found.sha256}`"),
                ("Length", f"{found.seconds:,.0f} s; its labels change {found.true_changes_hz:.2f} times a second"),
                ("Intervals", f"95 %, bootstrap over {found.clips:,} clips, drawn whole"),
            ]
        ),
        Heading("All ways of reading"),
        Grid([_COLUMNS[n] for n in kept], [[row[n] for n in kept] for row in rows], marked=[len(rows) - 1]),
        Text(
            "Each clip is read frame by frame, as a stream is. The best smoothing has the highest frame accuracy on "
            "train and validation over a grid of both settings; the model's epoch and calibration are chosen on "
            "validation. The split above decides nothing."
        ),
    ]


_NAMES = ("frame", "changes_hz", "clip", "valence", "arousal")


def _cards(found: ClipEvaluation) -> list[Block]:
    if found.gain is None:
        return []
    gain, low, high = (100 * value for value in found.gain)
    smoothed, model = found.figures[-2:]
    return [
        Cards(
            [
                (f"{gain:+.1f} points", f"frames right against the best smoothing ({low:+.1f} to {high:+.1f})"),
                (f"{model.changes_hz:.2f} / s", f"label changes; {smoothed.changes_hz:.2f} with the best smoothing"),
            ]
        )
    ]


def _cell(one: Figures, name: str) -> str:
    value = getattr(one, name)
    if value is None:
        return ""
    if name == "frame":
        mean, low, high = (100 * part for part in value)
        return f"{mean:.1f} {{range|({low:.1f}–{high:.1f})}}"
    return f"{100 * value:.1f}" if name == "clip" else f"{value:.2f}"
