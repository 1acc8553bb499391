"""The faces on which two models differ, and what changes a class, as pictures (matplotlib, extra `train`)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mien.errors import MissingExtraError
from mien.images.pictures import resize
from mien.workshop.evaluation.compare import Comparison
from mien.workshop.reports.evaluation.pictures import BLUE, GREY, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Int64 = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]

ORANGE, MUTED, RULE = "#c2571a", "#6b7780", "#dfe4ea"
COLUMNS, ROWS = 8, 2
_DPI = 110
_CELL_PX, _GAP_PX, _TEXT_PX = 108, 14, 58
_EDGE_PX, _TOP_PX, _BAND_PX = 28, 92, 46


def gallery_png(row: Comparison, images: UInt8, names: Sequence[str], *, seed: int = 0) -> bytes:
    """Faces that only one of two models has right as PNG: at most 16 of each kind, by chance, the classes in turn.

    Under each face stands its label, then what the first and the second model say of it, and how sure they are.

    Args:
        row: from `compare`.
        images: of the whole data set, uint8 (N, H, W) or (N, H, W, 3).
        names: of the two models.
        seed: the same seed picks the same faces.

    Raises:
        MissingExtraError: without matplotlib.
    """
    one, other = row.right
    bands = [np.flatnonzero(one & ~other), np.flatnonzero(other & ~one)]
    picked = [_pick(band, row.faces.truth, np.random.default_rng(seed)) for band in bands]
    sheet = _Sheet([max(1, -(-len(band) // COLUMNS)) for band in picked])
    sheet.write(_EDGE_PX, 22, f"{names[1]} against {names[0]}", size=13, weight="bold")
    faces = row.faces
    where = f"{len(faces.rows):,} faces of {faces.title}, {faces.labels_from}, head {faces.head}"
    sheet.write(_EDGE_PX, 46, f"{where}. Faces drawn by chance, the classes in turn.", size=9, colour=MUTED)
    _write_legend(sheet, names)
    for number, band in enumerate(picked):
        top = sheet.tops[number]
        title = f"Only {names[number]} has them right: {len(bands[number]):,} faces"
        shown = f", {len(band)} of them here" if len(band) < len(bands[number]) else ""
        sheet.write(_EDGE_PX, top - 30, title + shown, size=10, weight="bold", colour=(BLUE, ORANGE)[number])
        if not len(band):
            sheet.write(_EDGE_PX, top, "There is none.", size=9, colour=MUTED)
        for place, at in enumerate(band):
            _draw_face(sheet, top, place, images[faces.rows[at]], row, int(at))
    return sheet.png()


def classes_png(row: Comparison, names: Sequence[str]) -> bytes:
    """Recall and F1 of both models for each class as PNG, the first a ring, the second a disc.

    Raises:
        MissingExtraError: without matplotlib.
    """
    classes = row.classes
    figure = _figure(8.6, 1.3 + 0.42 * len(classes))
    high = figure.get_figheight()
    left, right = figure.subplots(1, 2, sharey=True)
    figure.subplots_adjust(left=0.14, right=0.97, top=1 - 0.78 / high, bottom=0.5 / high, wspace=0.1)
    for axes, title, values in (
        (left, "recall", [change.recall for change in classes]),
        (right, "F1", [change.f1 for change in classes]),
    ):
        for y, (before, after) in enumerate(values):
            axes.plot([before, after], [y, y], color=BLUE if after >= before else ORANGE, linewidth=2.5, alpha=0.45)
            axes.plot(before, y, "o", markersize=7, markerfacecolor="white", markeredgecolor=GREY, markeredgewidth=1.6)
            axes.plot(after, y, "o", markersize=7, color=BLUE if after >= before else ORANGE)
        axes.set(xlim=(-0.02, 1.02), ylim=(len(classes) - 0.5, -0.5))
        axes.set_xlabel(title, color=INK)
        axes.set_yticks(range(len(classes)), [f"{change.name}  {change.faces:,}" for change in classes])
        axes.grid(axis="x", color=RULE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    figure.text(0.03, 1 - 0.14 / high, f"{names[1]} against {names[0]}, a class each", fontsize=12, weight="bold",
                color=INK, va="top")  # fmt: skip
    where = f"{row.faces.title}, {row.faces.labels_from}, head {row.faces.head}"
    figure.text(0.03, 1 - 0.42 / high, f"{where}; ring: {names[0]}, disc: {names[1]}; blue is better, orange worse",
                fontsize=9, color=MUTED, va="top")  # fmt: skip
    return _png(figure)


def _pick(rows: Int64, truth: Int64, generator: np.random.Generator) -> Int64:
    """Random rows, the classes taking turns, then ordered by class."""
    order = generator.permutation(rows)
    turn = np.empty(len(order), np.int64)
    for label in np.unique(truth[order]):
        of_class = truth[order] == label
        turn[of_class] = np.arange(of_class.sum())
    chosen = order[np.argsort(turn, kind="stable")][: COLUMNS * ROWS]
    return np.asarray(chosen[np.argsort(truth[chosen], kind="stable")])


class _Sheet:
    """A white page in pixels with room for some rows of faces in each band."""

    def __init__(self, rows: Sequence[int]) -> None:
        self.tops, top = [], _TOP_PX
        for count in rows:
            self.tops.append(top + _BAND_PX)
            top += _BAND_PX + count * (_CELL_PX + _TEXT_PX + _GAP_PX)
        self.wide = 2 * _EDGE_PX + COLUMNS * (_CELL_PX + _GAP_PX) - _GAP_PX
        self.high = top + _EDGE_PX - _GAP_PX
        self.figure = _figure(self.wide / _DPI, self.high / _DPI)

    def write(
        self, left: float, top: float, text: str, *, size: float = 8.5, colour: str = INK, weight: str = "normal"
    ) -> None:
        """Text whose upper left corner is there."""
        base = top + 0.93 * size * _DPI / 72  # letters below the line would move text that hangs from its top
        self.figure.text(left / self.wide, 1 - base / self.high, text, fontsize=size, color=colour, weight=weight)

    def show(self, left: int, top: int, image: UInt8) -> None:
        """A face as a cell."""
        colours = np.repeat(image[:, :, None], 3, axis=2) if image.ndim == 2 else image
        cell = resize(np.ascontiguousarray(colours), _CELL_PX, _CELL_PX)
        self.figure.figimage(cell, left, self.high - top - _CELL_PX)

    def png(self) -> bytes:
        """The page."""
        return _png(self.figure)


def _write_legend(sheet: _Sheet, names: Sequence[str]) -> None:
    sheet.write(_EDGE_PX, 64, f"Under a face: its label, then  1  {names[0]},  2  {names[1]}", size=9, colour=MUTED)


def _draw_face(sheet: _Sheet, top: int, place: int, image: UInt8, row: Comparison, at: int) -> None:
    down, across = divmod(place, COLUMNS)
    left = _EDGE_PX + across * (_CELL_PX + _GAP_PX)
    upper = top + down * (_CELL_PX + _TEXT_PX + _GAP_PX)
    sheet.show(left, upper, image)
    truth = int(row.faces.truth[at])
    sheet.write(left, upper + _CELL_PX + 5, row.faces.classes[truth], weight="bold")
    for number, scores in enumerate(row.scores):
        said = int(scores.predicted[at])
        text = f"{number + 1}  {row.faces.classes[said]} {100 * scores.confidence[at]:.0f} %"
        line = upper + _CELL_PX + 22 + 15 * number
        sheet.write(left, line, text, colour=INK if said == truth else MUTED)


def _figure(width_in: float, height_in: float) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", "train") from error
    return Figure(figsize=(width_in, height_in), dpi=_DPI, facecolor="white")


def _png(figure: Figure) -> bytes:
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", metadata={"Software": None})
    return drawn.getvalue()
