"""What the commands print with: tables, lines and bars."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mien.labels import percent

if TYPE_CHECKING:
    from rich.table import Table

    from mien.workshop.evaluation.scores import Evaluation
    from mien.workshop.temporal.evaluation import ClipEvaluation

BAR_CELLS = (8, 24)
"""What a narrow terminal leaves of a bar, and its full length."""
BETWEEN, EDGES = 2, 2
"""Blank cells between two columns, and beside a table."""


def create_table(title: str, first_column: str, *right: str) -> Table:
    """A table with a title, a first column that may be folded, and columns of figures."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=title or None, title_justify="left",
        title_style="bold",
    )  # fmt: skip
    table.add_column(first_column, overflow="fold")
    for name in right:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def print_table(table: Table) -> None:
    """Print a table."""
    from rich.console import Console

    Console().print(table)


def print_line(text: str) -> None:
    """Print a sentence, whatever characters a path in it has, and wrap nothing."""
    # Not by rich, which would wrap long paths and take [brackets] for markup.
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def share_bar(share: float, cells: int = BAR_CELLS[1]) -> str:
    """A bar of so many cells at most, in steps of an eighth of a cell."""
    eighths = round(8 * cells * share)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def print_scores(evaluation: Evaluation) -> None:
    """Print what was measured: classes, and valence, arousal and intensity where the data set has them."""
    if evaluation.sets:
        print_table(scores_table(evaluation))
    if evaluation.values:
        print_table(values_table(evaluation))


def values_table(evaluation: Evaluation) -> Table:
    """CCC, Pearson's r, RMSE and sign agreement, a row a value and split, grouped by where the values come from."""
    from rich.text import Text

    model = evaluation.model
    title = f"{model.name} {model.version} on {evaluation.dataset}, 95 % intervals"
    table = create_table(title, "value", "rows", "CCC", "PCC", "RMSE", "SAGR")
    table.add_row(Text(f"from head {evaluation.values[0].source}", style="dim"))
    for scores in evaluation.values:
        cells = [f"{f.value:.3f}\n{f.interval.low:.3f}–{f.interval.high:.3f}" for f in scores.figures.values()]
        table.add_row(Text(f"{scores.name}, {scores.split}"), f"{scores.rows:,}", *cells)
    return table


def clips_table(found: ClipEvaluation) -> Table:
    """Frames that are right and label changes a second, a row each way of reading."""
    title = f"{found.model} on {found.dataset}, {found.split}, {found.clips:,} clips"
    table = create_table(title, "read by", "frames right", "clips right", "changes a second", "CCC")
    for one in found.figures:
        frame = "" if one.frame is None else "{:.1f} %\n{:.1f}–{:.1f}".format(*(100 * part for part in one.frame))
        ccc = "" if one.valence is None or one.arousal is None else f"{one.valence:.2f}, {one.arousal:.2f}"
        table.add_row(one.name, frame, "" if one.clip is None else percent(one.clip, 1), f"{one.changes_hz:.2f}", ccc)
    return table


def bar_cells(width: int, others: Sequence[int]) -> int:
    """The cells that a line of so many leaves for a bar beside columns of these widths."""
    left = width - sum(others) - BETWEEN * len(others) - EDGES
    return min(max(left, BAR_CELLS[0]), BAR_CELLS[1])


def scores_table(evaluation: Evaluation) -> Table:
    """The scores, a row a set of faces, grouped by head and labels; ECE is the expected calibration error."""
    from rich.text import Text

    model = evaluation.model
    table = create_table(
        f"{model.name} {model.version} on {evaluation.dataset}, 95 % intervals", "faces", "rows", "accuracy %",
        "macro F1", "ECE",
    )  # fmt: skip
    before = ""
    for scores in evaluation.sets:
        asked = f"head {scores.faces.head}, {scores.faces.labels_from}"
        if asked != before:
            table.add_section()
            table.add_row(Text(asked, style="dim"))
            before = asked
        share, macro = scores.accuracy_interval, scores.macro_f1_interval
        table.add_row(
            Text(scores.faces.title),
            f"{scores.rows:,}",
            f"{100 * scores.accuracy:.2f}\n{100 * share.low:.1f}–{100 * share.high:.1f}",
            f"{scores.macro_f1:.3f}\n{macro.low:.3f}–{macro.high:.3f}",
            f"{scores.ece:.3f}",
        )
    return table
