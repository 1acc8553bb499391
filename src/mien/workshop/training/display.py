"""What a training shows: a progress bar and a line an epoch, learning curves, and a sheet of augmented faces."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from mien.arrays import Int64, UInt8
from mien.artifact.input import prepare
from mien.errors import DataError
from mien.files import replacing
from mien.images.pictures import resize
from mien.labels import AFFECT_HEADS, SEVEN
from mien.workshop.data.base import FaceDataset
from mien.workshop.reports.charts import DPI, GREY, INK, SERIES, new_figure, style_axes
from mien.workshop.training.augment import augment, blend
from mien.workshop.training.config import AugmentConfig, TrainingConfig
from mien.workshop.training.state import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure


HEAD_COLOURS = {
    "crowd": SERIES[0], "fer2013": SERIES[1], "valence_arousal": SERIES[2], "intensity": SERIES[3],
    "frame": SERIES[0], "clip": SERIES[1],
}  # fmt: skip
_MUTED = "#5f6c7b"
_CELL_PX, _GAP_PX, _GUTTER_PX = 96, 4, 20
_LEFT_PX, _TOP_PX, _EDGE_PX = 92, 108, 16
_LETTER_PX = 7


@dataclass(frozen=True)
class Running:
    """How an epoch stands: its number from 0, of how many, the mean loss of its steps so far, the learning rate."""

    epoch: int
    epochs: int
    loss: float
    rate: float


AskRunning = Callable[[], Running]
"""How the epoch stands. To ask waits for an accelerator's queue of work, so a display asks seldom."""


class Display(Protocol):
    """What the loop reports as it goes."""

    def begin(self, steps: int, done: int) -> None:
        """There are so many steps in all, some of which an earlier call has done."""

    def step(self, ask: AskRunning | None = None) -> None:
        """A step is done; `ask` says how the epoch stands."""

    def epoch(self, row: dict[str, float], epochs: int, best: bool) -> None:
        """An epoch of so many is done and on disk."""

    def note(self, text: str) -> None:
        """A sentence that a person should know."""


class SilentDisplay:
    """Shows nothing."""

    def begin(self, steps: int, done: int) -> None:
        """Nothing."""

    def step(self, ask: AskRunning | None = None) -> None:
        """Nothing."""

    def epoch(self, row: dict[str, float], epochs: int, best: bool) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""


SILENT = SilentDisplay()

CreateDisplay = Callable[[str], AbstractContextManager[Display]]
"""Gives the display of a training by its name."""


def create_silent(name: str) -> AbstractContextManager[Display]:
    """Shows nothing of any training."""
    return nullcontext(SILENT)


def draw_curves(history: History, path: Path, *, title: str = "", best_epoch: int | None = None) -> Path:
    """Draw loss and validation accuracy by epoch as a PNG, with the epoch that was kept.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    epochs = [row["epoch"] + 1 for row in history]
    figure = new_figure(10, 4)
    loss, accuracy = figure.subplots(1, 2)
    loss.plot(epochs, [row["train_loss"] for row in history], color=GREY, linestyle="--", label="train (augmented)")
    loss.plot(epochs, [row["loss"] for row in history], color=INK, label="validation")
    loss.set_ylabel("loss, sum over heads (nats)")
    for head, colour in HEAD_COLOURS.items():
        # A head without known answers in the validation split has no accuracy.
        if head in history[0]:
            values = [100 * row[head] for row in history]
            accuracy.plot(epochs, values, color=colour, label=f"{head}: {max(values):.1f} at best")
    values_too = any(head in history[0] for head in AFFECT_HEADS)
    accuracy.set_ylabel("validation accuracy (%)" + (", CCC × 100 of values" if values_too else ""))
    for axes in (loss, accuracy):
        if best_epoch is not None and best_epoch >= 0:
            axes.axvline(best_epoch + 1, color=GREY, linewidth=1, linestyle=":")
        axes.set_xlabel("epoch")
        style_axes(axes)
        axes.legend(frameon=False)
    figure.suptitle(title or "Learning curves", fontsize=12)
    with replacing(path) as file:
        figure.savefig(file, format="png")
    return path


def augmented_copies(faces: UInt8, config: AugmentConfig, *, copies: int, seed: int = 0) -> UInt8:
    """Each face changed as often as asked: uint8 (N, C, H, W) in, (copies, N, C, H, W) out.

    Each round of copies is one batch of training, so mixup and CutMix, if configured, blend the faces with one another.
    """
    batch, generator = torch.from_numpy(faces).float(), torch.Generator().manual_seed(seed)
    rounds = [
        blend(augment(batch, config, generator), {}, config, generator)[0].round().clamp(0, 255) for _ in range(copies)
    ]
    return torch.stack(rounds).to(torch.uint8).numpy()


def draw_augmented(
    dataset: FaceDataset, config: TrainingConfig, *, rows: int = 8, copies: int = 9, seed: int = 0
) -> Figure:
    """A sheet with a face in each row: as the network takes it, then augmented copies; the same seed, the same sheet.

    The faces are training rows, of every class in turn.

    Raises:
        DataError: there are no training rows.
        MissingExtraError: without matplotlib.
    """
    train = dataset.part("train")
    if not len(train):
        raise DataError(f"{dataset.name}: there is no training row to augment")
    picked = train[_pick(train.labels, rows, np.random.default_rng(seed))]
    faces = prepare(picked.images, config.model.spec)
    sheet = _sheet(faces, augmented_copies(faces, config.augment, copies=copies, seed=seed))
    figure = _figure_around(sheet)
    _write_labels(figure, picked.labels)
    title = f"{config.name}: faces of {dataset.name} as training sees them"
    _write(figure, _EDGE_PX, 16, title, size=13, weight="bold")
    letters = (figure.get_size_inches()[0] * DPI - 2 * _EDGE_PX) / _LETTER_PX
    _write(figure, _EDGE_PX, 42, _in_words(config.augment, int(letters)), size=9, colour=_MUTED)
    _write(figure, _LEFT_PX + _CELL_PX / 2, _TOP_PX - 22, "as it is", align="center")
    _write(figure, _LEFT_PX + _CELL_PX + _GAP_PX + _GUTTER_PX, _TOP_PX - 22, "changed at random")
    return figure


def _pick(labels: Int64, count: int, generator: np.random.Generator) -> Int64:
    """Random rows, the classes taking turns; ordered by class."""
    order = generator.permutation(len(labels))
    turn = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        of_class = order[labels[order] == label]
        turn[of_class] = np.arange(len(of_class))
    first = order[np.argsort(turn[order], kind="stable")][:count]
    return first[np.argsort(labels[first], kind="stable")]


def _sheet(faces: UInt8, copies: UInt8) -> UInt8:
    """Everything side by side on white, RGB, the first column apart from the others."""
    step = _CELL_PX + _GAP_PX
    columns = [faces, *copies]
    sheet = np.full((len(faces) * step - _GAP_PX, len(columns) * step - _GAP_PX + _GUTTER_PX, 3), 255, np.uint8)
    for column, pictures in enumerate(columns):
        left = column * step + (_GUTTER_PX if column else 0)
        for row, picture in enumerate(pictures):
            cell = resize(np.ascontiguousarray(picture.transpose(1, 2, 0)), _CELL_PX, _CELL_PX)
            sheet[row * step : row * step + _CELL_PX, left : left + _CELL_PX] = cell.reshape(_CELL_PX, _CELL_PX, -1)
    return sheet


def _figure_around(sheet: UInt8) -> Figure:
    """A figure with room for the text, in which a pixel of the sheet is a pixel."""
    high, wide = sheet.shape[0] + _TOP_PX + _EDGE_PX, sheet.shape[1] + _LEFT_PX + _EDGE_PX
    figure = new_figure(wide / DPI, high / DPI, layout=None)
    place = (_LEFT_PX / wide, _EDGE_PX / high, sheet.shape[1] / wide, sheet.shape[0] / high)
    axes = figure.add_axes(place)
    axes.imshow(sheet, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    return figure


def _write_labels(figure: Figure, labels: Int64) -> None:
    for row, label in enumerate(labels):
        middle = _TOP_PX + row * (_CELL_PX + _GAP_PX) + _CELL_PX / 2 - 7
        _write(figure, _LEFT_PX - 10, middle, SEVEN[label] if label >= 0 else "no label", align="right")


def _write(
    figure: Figure,
    left_px: float,
    top_px: float,
    text: str,
    *,
    size: float = 10,
    colour: str = INK,
    weight: str = "normal",
    align: str = "left",
) -> None:
    wide, high = figure.get_size_inches() * DPI
    figure.text(left_px / wide, 1 - top_px / high, text, size=size, color=colour, weight=weight, ha=align, va="top")


def _in_words(config: AugmentConfig, letters: int = 80) -> str:
    """The values that change anything, in lines of so many letters at most.

    >>> _in_words(AugmentConfig(zoom=0, shear=0, brightness=0, contrast=0, erase=0))
    'flip 0.5  ·  rotation 15°  ·  shift 0.1'
    """
    without = {"erase_area"} if config.degrade else {"erase_area", "dark", "blur", "small", "noise", "jpeg"}
    values = {key: value for key, value in config.model_dump(exclude=without).items() if value}
    # A no-break space, so that textwrap keeps a value beside its name.
    words = [f"{key}\N{NO-BREAK SPACE}{value:g}{'°' if key == 'rotation' else ''}" for key, value in values.items()]
    lines = textwrap.fill("  ·  ".join(words) or "nothing is changed", letters)
    return lines.replace("\N{NO-BREAK SPACE}", " ")
