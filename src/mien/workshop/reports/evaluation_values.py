"""The part of an evaluation's report about valence, arousal and intensity."""

from __future__ import annotations

from collections.abc import Sequence

from mien.workshop.evaluation.affect_metrics import METRICS
from mien.workshop.evaluation.value_scores import ValueScores
from mien.workshop.reports.document import DASH, Block, Grid, Text
from mien.workshop.reports.material import percent, span

COLUMNS = ("value", "faces", "from head", "rows", "CCC", "PCC", "RMSE", "SAGR", "ECE", "within 1 sd")
HELP = (
    "How close the estimates are to the data set's own valence, arousal and intensity. CCC is the concordance "
    "correlation coefficient, 1 for the same values; PCC is Pearson's r, which does not see a shift or another scale; "
    "SAGR is the share of faces on the same side of 0; below a figure is its 95 % interval, by bootstrap over faces. "
    "ECE is that of a share, for intensity. The last column is the share of faces within the standard deviation that "
    "the model gives: about two thirds if it is right. Values from a head of words (`crowd`) come by the map of words "
    "to the circumplex."
)


def value_blocks(found: Sequence[ValueScores]) -> list[Block]:
    """All values on all splits in a table."""
    return [Text(HELP), Grid(COLUMNS, [_row(scores) for scores in found], text_columns=3)]


def _row(scores: ValueScores) -> tuple[str, ...]:
    figures = [
        f"{found.value:.3f}\n{{range|{span(found.interval, scale=1, digits=3)}}}"
        for found in (scores.figures[name] for name in METRICS)
    ]
    ece = DASH if scores.ece is None else f"{scores.ece:.3f}"
    return (
        scores.name, scores.split, scores.source, f"{scores.rows:,}", *figures, ece, percent(scores.within_sd),
    )  # fmt: skip
